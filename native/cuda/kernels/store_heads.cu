// What becomes of q, k and v before a row attends? Norm and rope of every head of q and k, then k and v into the row's cache.
//
// Rounded as native/cpu/attend.cc rounds: no multiply-add is fused, and caches get the CPU's halves and codes.
#include <cmath>
#include <cstring>

#include "../../quant/q8_0.h"
#include "../definitions.h"
#include "cache_vector.h"
#include "warp.h"

namespace powerinfer::cuda {
namespace {

// Below this, 127 / largest could overflow: as in native/cpu/kernels/quantize_rows.cc.
constexpr float kSmallest = 1e-30f;
constexpr uint32_t kInfinityBits = 0x7f800000u;

// How values with this largest magnitude become codes up to 127. `inverse` of 0: every code is 0.
struct CodeScale {
  float scale, inverse;
};
__host__ __device__ inline CodeScale code_scale(uint32_t largest_bits, float largest) {
  if (largest_bits >= kInfinityBits) return {NAN, 0};
  if (largest < kSmallest) return {0, 0};
  return {largest / 127.0f, 127.0f / largest};
}

// From one pair of a rotation to the next, and from a pair's first to its second.
__host__ __device__ inline uint32_t pair_step(uint32_t rope) { return rope == POWERINFER_ROPE_INTERLEAVED ? 2 : 1; }
__host__ __device__ inline uint32_t pair_reach(uint32_t rope, uint32_t rope_width) {
  return rope == POWERINFER_ROPE_INTERLEAVED ? 1 : rope_width / 2;
}

void finish_head(const StoreHeads& op, uint32_t row, const float* norm, float* head) {
  if (norm != nullptr) {
    double squares = 0;
    for (uint32_t i = 0; i < op.head_width; ++i) squares += double{head[i]} * head[i];
    const float scale = static_cast<float>(1.0 / std::sqrt(squares / op.head_width + op.epsilon));
    for (uint32_t i = 0; i < op.head_width; ++i) head[i] = head[i] * scale * norm[i];
  }
  const uint32_t pairs = op.rope == POWERINFER_ROPE_NONE ? 0 : op.rope_width / 2;
  for (uint32_t i = 0; i < pairs; ++i) {
    const float cosine = op.cosines[uint64_t{row} * pairs + i], sine = op.sines[uint64_t{row} * pairs + i];
    float& first = head[i * pair_step(op.rope)];
    float& second = head[i * pair_step(op.rope) + pair_reach(op.rope, op.rope_width)];
    const float rotated = first * cosine - second * sine;
    second = first * sine + second * cosine;
    first = rotated;
  }
}

void store_vector(uint32_t cache_type, const float* values, uint32_t width, uint8_t* to) {
  if (cache_type == POWERINFER_CACHE_F32) {
    std::memcpy(to, values, uint64_t{width} * 4);
  } else if (cache_type == POWERINFER_CACHE_F16) {
    for (uint32_t i = 0; i < width; ++i) {
      const uint16_t half = f16_from_float(values[i]);
      std::memcpy(to + i * 2, &half, 2);
    }
  } else {
    for (uint32_t first = 0; first < width; first += 32, to += sizeof(BlockQ8_0)) {
      uint32_t largest_bits = 0;  // magnitudes order as integers, with NaN above everything
      for (uint32_t i = first; i < first + 32; ++i) largest_bits = std::max(largest_bits, bits_from_float(values[i]) & 0x7fffffffu);
      const CodeScale made = code_scale(largest_bits, float_from_bits(largest_bits));
      BlockQ8_0 block;
      block.d = f16_from_float(made.scale);
      for (uint32_t i = 0; i < 32; ++i) {
        block.codes[i] = made.inverse != 0 ? static_cast<int8_t>(std::nearbyint(values[first + i] * made.inverse)) : int8_t{0};
      }
      std::memcpy(to, &block, sizeof block);
    }
  }
}

}  // namespace

// The definition.
void store_heads_definition(const StoreHeads& op) {
  for (uint32_t row = 0; row < op.row_count; ++row) {
    for (uint32_t h = 0; h < op.head_count; ++h) finish_head(op, row, op.q_norm, op.q.values + uint64_t{row} * op.q.stride + h * op.head_width);
    for (uint32_t h = 0; h < op.kv_head_count; ++h) {
      float* const key = op.k.values + uint64_t{row} * op.k.stride + h * op.head_width;
      finish_head(op, row, op.k_norm, key);
      const CacheView& cache = op.caches[op.rows[row].cache];
      const uint32_t position = op.rows[row].position;
      store_vector(cache.type, key, op.head_width, vector_at(cache, {op.block, kKey, op.kv_head_count, h, op.head_width}, position));
      store_vector(cache.type, op.v.values + uint64_t{row} * op.v.stride + h * op.head_width, op.head_width,
                   vector_at(cache, {op.block, kValue, op.kv_head_count, h, op.head_width}, position));
    }
  }
}

namespace {

constexpr uint32_t kWarps = 4;  // of a thread block, a head each

__device__ void normalize(const StoreHeads& op, const float* norm, float* head, uint32_t lane) {
  double squares = 0;
  for (uint32_t i = lane; i < op.head_width; i += kWarp) squares += double{head[i]} * head[i];
  const float scale = static_cast<float>(1.0 / sqrt(warp_sum(squares) / op.head_width + op.epsilon));
  for (uint32_t i = lane; i < op.head_width; i += kWarp) head[i] = head[i] * scale * norm[i];
}

__device__ void rotate(const StoreHeads& op, uint32_t row, float* head, uint32_t lane) {
  const uint32_t pairs = op.rope_width / 2;
  for (uint32_t i = lane; i < pairs; i += kWarp) {
    const float cosine = op.cosines[uint64_t{row} * pairs + i], sine = op.sines[uint64_t{row} * pairs + i];
    float& first = head[i * pair_step(op.rope)];
    float& second = head[i * pair_step(op.rope) + pair_reach(op.rope, op.rope_width)];
    const float rotated = __fsub_rn(__fmul_rn(first, cosine), __fmul_rn(second, sine));
    second = __fadd_rn(__fmul_rn(first, sine), __fmul_rn(second, cosine));
    first = rotated;
  }
}

__device__ void store(uint32_t cache_type, const float* head, uint32_t width, uint8_t* to, uint32_t lane) {
  for (uint32_t i = lane; i < width; i += kWarp) {
    const float value = head[i];
    if (cache_type == POWERINFER_CACHE_F32) {
      reinterpret_cast<float*>(to)[i] = value;
    } else if (cache_type == POWERINFER_CACHE_F16) {
      reinterpret_cast<__half*>(to)[i] = __float2half_rn(value);
    } else {  // the warp has one block: such a head is whole blocks
      const uint32_t largest_bits = warp_max(__float_as_uint(value) & 0x7fffffffu);
      const CodeScale made = code_scale(largest_bits, __uint_as_float(largest_bits));
      uint8_t* const block = to + uint64_t{i / kWarp} * kCacheBlockBytes;
      if (lane == 0) *reinterpret_cast<__half*>(block) = __float2half_rn(made.scale);
      reinterpret_cast<int8_t*>(block)[2 + lane] = made.inverse != 0 ? static_cast<int8_t>(__float2int_rn(value * made.inverse)) : int8_t{0};
    }
  }
}

// A warp a head: those of q, then those of k, then those of v. Rows are along x, of which a grid may have more than 65535.
__global__ void store_heads(StoreHeads op) {
  __shared__ float heads[kWarps][kHeadWidthMax];
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, row = blockIdx.x;
  const uint32_t index = blockIdx.y * kWarps + warp, first_k = op.head_count, first_v = first_k + op.kv_head_count;
  if (index >= first_v + op.kv_head_count) return;
  const bool is_q = index < first_k, is_v = index >= first_v;
  const uint32_t h = is_q ? index : is_v ? index - first_v : index - first_k;
  const DeviceRows& rows = is_q ? op.q : is_v ? op.v : op.k;
  float* const values = rows.values + uint64_t{row} * rows.stride + h * op.head_width;
  float* const head = heads[warp];
  for (uint32_t i = lane; i < op.head_width; i += kWarp) head[i] = values[i];
  if (!is_v) {
    const float* const norm = is_q ? op.q_norm : op.k_norm;
    if (norm != nullptr) normalize(op, norm, head, lane);
    __syncwarp();
    if (op.rope != POWERINFER_ROPE_NONE) rotate(op, row, head, lane);
    __syncwarp();
    for (uint32_t i = lane; i < op.head_width; i += kWarp) values[i] = head[i];
    if (is_q) return;
  }
  const CacheView cache = op.caches[op.rows[row].cache];
  const CacheRun run{op.block, is_v ? kValue : kKey, op.kv_head_count, h, op.head_width};
  store(cache.type, head, op.head_width, vector_at(cache, run, op.rows[row].position), lane);
}

}  // namespace

void launch_store_heads(const StoreHeads& op, cudaStream_t stream) {
  const uint32_t head_count = op.head_count + 2 * op.kv_head_count;
  CUDA_LAUNCH(store_heads, dim3(op.row_count, (head_count + kWarps - 1) / kWarps), kWarps * kWarp, 0, stream, op);
}

}  // namespace powerinfer::cuda
