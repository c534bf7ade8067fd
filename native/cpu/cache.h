// Where are the keys and values of earlier positions?
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer {

// f16, f32 or Q8_0 [block][key, value][kv_head][position][head_width]: what one head reads is one sequential run.
// The memory is zero and takes up room only where it was written, so a large context costs what it holds.
class Cache {
 public:
  // `model_identity` and `shape` are the model's. Fails with OUT_OF_MEMORY, and with INVALID_ARGUMENT for a head that is not whole blocks.
  Cache(uint64_t model_identity, const powerinfer_model_shape& shape, uint32_t position_count, uint32_t cache_type);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  uint64_t size_bytes() const { return size_bytes_; }
  // Bytes of one vector.
  uint64_t position_bytes() const { return position_bytes_; }
  // The vector of one position; the next position's follows it.
  uint8_t* key(uint32_t block, uint32_t kv_head, uint32_t position) const { return vector(block, 0, kv_head, position); }
  uint8_t* value(uint32_t block, uint32_t kv_head, uint32_t position) const { return vector(block, 1, kv_head, position); }

  const uint64_t model_identity;
  const uint32_t position_count;
  const uint32_t type;
  uint32_t filled_count = 0;  // positions 0 .. filled_count - 1 were in a batch: no row may look beyond them

 private:
  uint8_t* vector(uint32_t block, uint32_t key_or_value, uint32_t kv_head, uint32_t position) const {
    const uint64_t run = (uint64_t{block} * 2 + key_or_value) * kv_head_count_ + kv_head;
    return bytes_ + (run * position_count + position) * position_bytes_;
  }

  const uint32_t kv_head_count_;
  const uint64_t position_bytes_;
  uint64_t size_bytes_;
  uint8_t* bytes_;
};

}  // namespace powerinfer
