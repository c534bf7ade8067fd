// Where are the keys and values of earlier positions?
#include "cache.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "../quant/q8_0.h"
#include "error.h"
#include "machine.h"

namespace powerinfer {
namespace {

uint64_t bytes_of_head(uint32_t cache_type, uint32_t head_width) {
  if (cache_type != POWERINFER_CACHE_Q8_0) return uint64_t{head_width} * (cache_type == POWERINFER_CACHE_F16 ? 2 : 4);
  if (head_width % BlockQ8_0::kWeights != 0) {
    fail(POWERINFER_INVALID_ARGUMENT, "heads of %u are not whole Q8_0 blocks of %u; use an F16 cache", head_width, BlockQ8_0::kWeights);
  }
  return head_width / BlockQ8_0::kWeights * sizeof(BlockQ8_0);
}

}  // namespace

Cache::Cache(uint64_t identity, const powerinfer_model_shape& shape, uint32_t count, uint32_t cache_type)
    : model_identity(identity),
      position_count(count),
      type(cache_type),
      kv_head_count_(shape.kv_head_count),
      position_bytes_(bytes_of_head(cache_type, shape.head_width)) {
  // No overflow: the limits in model.cc and abi_model.cc bound the product by 2^12 · 2 · 2^20 · 2^24 · 4.
  size_bytes_ = uint64_t{shape.block_count} * 2 * kv_head_count_ * position_count * position_bytes_;
  require_memory(size_bytes_, "the cache");
  void* const memory = ::mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail(POWERINFER_OUT_OF_MEMORY, "%.0f bytes for %u positions: %s; ask for fewer",
         static_cast<double>(size_bytes_), position_count, std::strerror(errno));
  }
#if defined(MADV_NOHUGEPAGE)
  // Huge pages would make the first position of every run cost 2 MiB.
  ::madvise(memory, size_bytes_, MADV_NOHUGEPAGE);
#endif
  bytes_ = static_cast<uint8_t*>(memory);
}

Cache::~Cache() { ::munmap(bytes_, size_bytes_); }

}  // namespace powerinfer
