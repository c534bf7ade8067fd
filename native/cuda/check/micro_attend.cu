// How fast is attention of one row, beside a copy? Eight KV heads of 128, each shared by four query heads, over a cache that exceeds the device's.
#include "../memory.h"
#include "micro_measure.h"
#include "microbench.h"

using namespace powerinfer::cuda;

namespace powerinfer_check {
namespace {

constexpr uint32_t kHeads = 32, kKvHeads = 8, kHeadWidth = 128;

struct CacheType {
  const char* name;
  uint32_t number;
  uint32_t head_bytes;
};
constexpr CacheType kCacheTypes[] = {
    {"F16", POWERINFER_CACHE_F16, kHeadWidth * 2}, {"F32", POWERINFER_CACHE_F32, kHeadWidth * 4}, {"Q8_0", POWERINFER_CACHE_Q8_0, kHeadWidth / 32 * 34}};

}  // namespace

void measure_attend(const MicroPlace& place, std::vector<Json>& rows) {
  Budget budget(UINT64_MAX);
  const uint32_t position_count = place.cache_bytes > 0 ? 2048 : 128, stride = kHeads * kHeadWidth;
  const DeviceMemory scratch(budget, attend_scratch_floats(1, kHeads, kHeadWidth, position_count) * sizeof(float), "attention");
  const DeviceMemory q(budget, stride * sizeof(float), "queries"), out(budget, stride * sizeof(float), "attention"), batch(budget, sizeof(BatchRow), "a row"),
      views(budget, sizeof(CacheView), "a cache");
  const BatchRow row{0, position_count - 1, 0};
  check(cudaMemcpy(batch.bytes(), &row, sizeof row, cudaMemcpyHostToDevice), "copy a row");
  for (const CacheType& type : kCacheTypes) {
    const uint64_t block_bytes = uint64_t{2} * kKvHeads * position_count * type.head_bytes;
    const uint32_t block_count = static_cast<uint32_t>(4 * place.cache_bytes / block_bytes + 1);
    const DeviceMemory cache(budget, block_count * block_bytes, "a KV cache");
    const CacheView view{cache.bytes(), position_count, type.number};
    check(cudaMemcpy(views.bytes(), &view, sizeof view, cudaMemcpyHostToDevice), "copy a view");
    const double seconds = graph_seconds(place.stream, place.repetitions, [&] {
      for (uint32_t block = 0; block < block_count; ++block) {
        launch_attend({block, kHeads, kKvHeads, kHeadWidth, reinterpret_cast<const BatchRow*>(batch.bytes()), 1, position_count - 1,
                       reinterpret_cast<const CacheView*>(views.bytes()), {reinterpret_cast<float*>(q.bytes()), stride, stride},
                       {reinterpret_cast<float*>(out.bytes()), stride, stride}, reinterpret_cast<float*>(scratch.bytes())},
                      place.stream);
      }
    });
    Json row = bandwidth_row(place, "attend", static_cast<double>(block_bytes), seconds / block_count);
    rows.push_back(row.text("type", type.name).number("positions", position_count));
  }
}

}  // namespace powerinfer_check
