// Where are the keys and values of earlier positions?
#include "cache.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "error.h"
#include "machine.h"

namespace powerinfer {

Cache::Cache(uint64_t identity, const powerinfer_model_shape& shape, uint32_t count, uint32_t cache_type)
    : model_identity(identity),
      position_count(count),
      type(cache_type),
      kv_head_count_(shape.kv_head_count),
      position_bytes_(uint64_t{shape.head_width} * (cache_type == POWERINFER_CACHE_F16 ? 2 : 4)) {
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
