// Where in a KV cache is the vector of a position, and how are eight of its numbers read?
#pragma once
#include "../kernels.h"

namespace powerinfer::cuda {

constexpr uint32_t kKey = 0, kValue = 1;
constexpr uint32_t kCacheBlockBytes = 34;  // Q8_0: an f16 scale, then 32 codes (native/quant/q8_0.h)

// Bytes of one vector.
__host__ __device__ constexpr uint64_t vector_bytes(uint32_t cache_type, uint32_t head_width) {
  return cache_type == POWERINFER_CACHE_F16 ? uint64_t{head_width} * 2
         : cache_type == POWERINFER_CACHE_F32 ? uint64_t{head_width} * 4
                                              : uint64_t{head_width} / 32 * kCacheBlockBytes;
}

// Which run of vectors, one a position, is meant.
struct CacheRun {
  uint32_t block, key_or_value, kv_head_count, kv_head, head_width;
};

__host__ __device__ inline uint8_t* vector_at(const CacheView& cache, const CacheRun& run, uint32_t position) {
  const uint64_t index = (uint64_t{run.block} * 2 + run.key_or_value) * run.kv_head_count + run.kv_head;
  return cache.bytes + (index * cache.position_count + position) * vector_bytes(cache.type, run.head_width);
}

// Numbers 8 · octet .. 8 · octet + 7 of a vector, by loads of 16 bytes where they are aligned to that. What is read was written by an earlier kernel.
struct CacheF16 {
  __device__ static void load8(const uint8_t* vector, uint32_t octet, float (&to)[8]) {
    const uint4 raw = __ldg(reinterpret_cast<const uint4*>(vector) + octet);
    const unsigned pairs[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) to[i] = __half2float(__ushort_as_half(static_cast<unsigned short>(pairs[i / 2] >> i % 2 * 16)));
  }
};
struct CacheF32 {
  __device__ static void load8(const uint8_t* vector, uint32_t octet, float (&to)[8]) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const float4 raw = __ldg(reinterpret_cast<const float4*>(vector) + octet * 2 + half);
      to[half * 4] = raw.x;
      to[half * 4 + 1] = raw.y;
      to[half * 4 + 2] = raw.z;
      to[half * 4 + 3] = raw.w;
    }
  }
};
struct CacheQ8_0 {
  __device__ static void load8(const uint8_t* vector, uint32_t octet, float (&to)[8]) {
    const uint16_t* const block = reinterpret_cast<const uint16_t*>(vector + uint64_t{octet / 4} * kCacheBlockBytes);
    const float scale = __half2float(__ushort_as_half(__ldg(block)));
#pragma unroll
    for (uint32_t pair = 0; pair < 4; ++pair) {
      const uint16_t raw = __ldg(block + 1 + octet % 4 * 4 + pair);
      to[pair * 2] = scale * static_cast<float>(static_cast<int8_t>(raw & 0xff));
      to[pair * 2 + 1] = scale * static_cast<float>(static_cast<int8_t>(raw >> 8));
    }
  }
};

}  // namespace powerinfer::cuda
