// Adds what active neurons contribute to every column, from the grouped layout of repack.h, for formats whose matmul takes f32 activations.
#include "repacked_walk.h"
#include "variants.h"
#include "wanted.h"

namespace powerinfer {

namespace {

float sum_of_scales(const Wanted& wanted) {
  float total = 0;
  for (uint32_t k = 0; k < wanted.count; ++k) total += wanted.scales[k];
  return total;
}

// Calls add(group, wanted, out) for every group and every batch row that wants some of it.
template <class Block, class Add>
void for_each_wanted_group(const Accumulate& op, Add&& add) {
  for_each_group<Block>(op, [&](const ListedGroup<Block>& group) {
    for (uint32_t row = 0; row < op.x.count; ++row) {
      const Wanted wanted(op, row, static_cast<uint32_t>(group.neurons - op.neurons), group.count);
      if (wanted.count != 0) add(group.rows, wanted, op.out + row * op.out_stride);
    }
  });
}

}  // namespace

// The definition: within a group Σ activation · code in f32, neurons ascending, then once per group
//   out += scale · Σ activation · code  +  offset · Σ activation
// Every other variant may differ from it by rounding only.
template <class Block>
void accumulate_repacked_scalar(const Accumulate& op) {
  for_each_wanted_group<Block>(op, [&](const RepackedGroup<Block>& group, const Wanted& wanted, float* out) {
    const float total = sum_of_scales(wanted);
    for (uint32_t c = op.column_begin; c < op.column_end; ++c) {
      float sum = 0;
      for (uint32_t k = 0; k < wanted.count; ++k) {
        const uint8_t* codes = group.codes + wanted.neurons[k] % Block::kGroup * group.code_row_bytes;
        sum += wanted.scales[k] * static_cast<float>(Repacked<Block>::code(codes, c));
      }
      out[c] += group.scale(c) * sum;
      if constexpr (Block::kHasOffset) out[c] += group.offset(c) * total;
    }
  });
}

#if POWERINFER_X86
namespace {

// 32 columns from c on; those past `end` are computed from the padding and dropped.
template <class Block>
TARGET_AVX2 void add_columns(const RepackedGroup<Block>& group, const Wanted& wanted, float total, float* out, uint32_t c, uint32_t end) {
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  for (uint32_t k = 0; k < wanted.count; ++k) {
    const uint8_t* row = group.codes + wanted.neurons[k] % Block::kGroup * group.code_row_bytes;
    const __m256 scale = _mm256_set1_ps(wanted.scales[k]);
    FOR_REGISTERS(i, 4) {
      const __m256i codes = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + c + 8 * i)));
      sums[i] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(codes), sums[i]);
    }
  }
  alignas(32) float added[32];
  FOR_REGISTERS(i, 4) {
    __m256 sum = _mm256_mul_ps(group.scale8(c + 8 * i), sums[i]);
    if constexpr (Block::kHasOffset) sum = _mm256_fmadd_ps(group.offset8(c + 8 * i), _mm256_set1_ps(total), sum);
    _mm256_store_ps(added + 8 * i, sum);
  }
  for (uint32_t i = 0; i < 32 && c + i < end; ++i) out[c + i] += added[i];
}

}  // namespace

template <class Block>
void accumulate_repacked_avx2(const Accumulate& op) {
  static_assert(!Repacked<Block>::kPacked);
  for_each_wanted_group<Block>(op, [&](const RepackedGroup<Block>& group, const Wanted& wanted, float* out) {
    const float total = sum_of_scales(wanted);
    for (uint32_t c = op.column_begin; c < op.column_end; c += 32) add_columns(group, wanted, total, out, c, op.column_end);
  });
}

template void accumulate_repacked_avx2<BlockQ4_1>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ5_0>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ5_1>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ2_K>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ3_K>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ5_K>(const Accumulate&);
#endif

template void accumulate_repacked_scalar<BlockQ4_1>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ5_0>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ5_1>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ2_K>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ3_K>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ5_K>(const Accumulate&);

}  // namespace powerinfer
