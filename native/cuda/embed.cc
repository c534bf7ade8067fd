// How does a batch begin? Rows and their rope angles are copied, tokens become vectors.
#include <algorithm>
#include <cmath>

#include "device.h"

namespace powerinfer::cuda {
namespace {

// As the CPU computes them (native/cpu/embed.cc): in double, because position · frequency loses digits in f32 at large positions.
void write_angles(const Device& device, uint32_t row, uint32_t position) {
  const uint64_t pair_count = device.inverse_frequencies.size();
  for (uint64_t i = 0; i < pair_count; ++i) {
    const double angle = static_cast<double>(position) * static_cast<double>(device.inverse_frequencies[i]);
    device.exchange->cosines[row * pair_count + i] = static_cast<float>(std::cos(angle));
    device.exchange->sines[row * pair_count + i] = static_cast<float>(std::sin(angle));
  }
}

const CudaCache& cache_of(const Device& device, uint32_t number) {
  return *std::find_if(device.caches.begin(), device.caches.end(), [&](const CudaCache& cache) { return cache.number == number; });
}

double cache_position_bytes(const Device& device, const CudaCache& cache) {
  return static_cast<double>(cache.memory.size_bytes()) / (static_cast<double>(device.shape.block_count) * cache.position_count);
}

}  // namespace

void embed(Device& device, const powerinfer_row* rows, uint32_t row_count) {
  const Exchange& exchange = *device.exchange;
  const Workspace& w = device.work;
  cudaStream_t queue = device.queue();
  // A batch that was given up halfway may still be reading what is written here.
  check(cudaStreamSynchronize(queue), "finish the last batch");
  device.kept = device.hidden_handed_over = device.active_handed_over = false;
  device.row_count = row_count;
  device.position_max = 0;
  device.cache_bytes_of_block = 0;
  for (uint32_t i = 0; i < row_count; ++i) {
    exchange.rows[i] = {rows[i].token, rows[i].position, rows[i].cache - 1};
    device.position_max = std::max(device.position_max, rows[i].position);
    device.cache_bytes_of_block += cache_position_bytes(device, cache_of(device, rows[i].cache)) * (rows[i].position + 1.0);
    write_angles(device, i, rows[i].position);
  }
  const auto copy = [&](void* to, const void* from, uint64_t bytes) {
    if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, queue), "copy the batch");
  };
  const uint64_t angle_bytes = row_count * device.inverse_frequencies.size() * sizeof(float);
  copy(w.rows, exchange.rows, row_count * sizeof(BatchRow));
  copy(w.cosines, exchange.cosines, angle_bytes);
  copy(w.sines, exchange.sines, angle_bytes);
  launch_embed({device.weights->token_embedding, device.weights->position_embedding, device.shape.position_offset, w.rows, row_count, w.residual}, queue);
  check_launches("embed the tokens");
  device.row_total += row_count;
  device.dense_bytes += row_count * (device.weights->row_bytes(POWERINFER_TOKEN_EMBEDDING, 0) + device.weights->row_bytes(POWERINFER_POSITION_EMBEDDING, 0));
}

}  // namespace powerinfer::cuda
