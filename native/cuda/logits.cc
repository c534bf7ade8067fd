// How likely is each token next?
#include <algorithm>

#include "device.h"

namespace powerinfer::cuda {

void logits(Device& device, const uint32_t* rows, uint32_t count, float* out) {
  merge_kept(device, nullptr);
  const Workspace& w = device.work;
  const Weights& weights = *device.weights;
  const uint32_t vocabulary_size = device.shape.vocabulary_size;
  cudaStream_t queue = device.queue();
  std::copy(rows, rows + count, device.exchange->logit_rows);
  check(cudaMemcpyAsync(w.logit_rows, device.exchange->logit_rows, count * sizeof(uint32_t), cudaMemcpyHostToDevice, queue), "copy the rows");
  const uint32_t at_once = std::min(kLogitRowsMax, device.shape.row_count_max);
  for (uint32_t first = 0; first < count; first += at_once) {
    const uint32_t row_count = std::min(at_once, count - first);
    launch_norm({device.shape.norm, device.shape.norm_epsilon, weights.output_norm, weights.output_norm_bias, w.residual, w.logit_rows + first, row_count, w.normed},
                queue);
    launch_multiply({weights.output, weights.output_bias, false, w.normed, row_count, w.logits, vocabulary_size}, queue);
    check_launches("make logits");
    check(cudaMemcpyAsync(out + uint64_t{first} * vocabulary_size, w.logits, uint64_t{row_count} * vocabulary_size * sizeof(float), cudaMemcpyDeviceToHost, queue),
          "copy the logits");
    check(cudaStreamSynchronize(queue), "copy the logits");
  }
  device.dense_bytes += weights.tensor_bytes(POWERINFER_OUTPUT, 0);
}

}  // namespace powerinfer::cuda
