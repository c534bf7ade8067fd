// Adds the `down` rows of active neurons, stored one after another in a block format, each scaled by its activation.
#include "variants.h"
#include "wanted.h"

namespace powerinfer {

// The definition. Every other variant may differ from it by rounding only.
template <class Block>
void accumulate_dequantized_scalar(const Accumulate& op) {
  for_each_wanted(op, [&](const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    float* out = op.out + row * op.out_stride;
    for (uint32_t k = 0; k < wanted.count; ++k) {
      const Block* down = reinterpret_cast<const Block*>(op.down + wanted.neurons[k] * op.row_bytes);
      for (uint32_t c = begin; c < end; c += Block::kWeights) {
        float weights[Block::kWeights];
        decode(down[c / Block::kWeights], weights);
        for (uint32_t j = 0; j < Block::kWeights; ++j) out[c + j] += wanted.scales[k] * weights[j];
      }
    }
  });
}

#if POWERINFER_X86
namespace {

// Formats that converters store by neuron are decoded by hand; the compiler makes of the others what it can.
template <class Block>
TARGET_AVX2 POWERINFER_INLINE void decode_avx2(const Block& block, float* weights) {
  decode(block, weights);
}
TARGET_AVX2 POWERINFER_INLINE void store_scaled(__m128i codes, __m256 scale, float* weights) {
  _mm256_store_ps(weights, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes))));
  _mm256_store_ps(weights + 8, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))));
}
TARGET_AVX2 POWERINFER_INLINE void decode_avx2(const BlockQ8_0& block, float* weights) {
  const __m256 scale = _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(block.d)));
  store_scaled(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.codes)), scale, weights);
  store_scaled(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.codes + 16)), scale, weights + 16);
}
TARGET_AVX2 POWERINFER_INLINE void decode_avx2(const BlockQ4_0& block, float* weights) {
  const __m256 scale = _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(block.d)));
  const __m128i nibbles = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.nibbles)), mask = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
  store_scaled(_mm_sub_epi8(_mm_and_si128(nibbles, mask), eight), scale, weights);
  store_scaled(_mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(nibbles, 4), mask), eight), scale, weights + 16);
}

template <class Block>
TARGET_AVX2 void add_row(const uint8_t* row, const uint8_t* next, float scale, float* out, uint32_t begin, uint32_t end) {
  const __m256 scales = _mm256_set1_ps(scale);
  for (uint32_t c = begin; c < end; c += Block::kWeights) {
    const uint64_t block = c / Block::kWeights;
    alignas(32) float weights[Block::kWeights];
    decode_avx2(reinterpret_cast<const Block*>(row)[block], weights);
    for (uint32_t j = 0; j < Block::kWeights; j += 8)
      _mm256_storeu_ps(out + c + j, _mm256_fmadd_ps(scales, _mm256_load_ps(weights + j), _mm256_loadu_ps(out + c + j)));
    _mm_prefetch(next + block * sizeof(Block), _MM_HINT_T0);
  }
}

}  // namespace

template <class Block>
void accumulate_dequantized_avx2(const Accumulate& op) {
  for_each_wanted(op, [&](const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    for (uint32_t k = 0; k < wanted.count; ++k) {
      const uint8_t* down = op.down + wanted.neurons[k] * op.row_bytes;
      const uint8_t* next = k + 1 < wanted.count ? op.down + wanted.neurons[k + 1] * op.row_bytes : down;
      add_row<Block>(down, next, wanted.scales[k], op.out + row * op.out_stride, begin, end);
    }
  });
}

template void accumulate_dequantized_avx2<BlockQ8_0>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ4_0>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ4_1>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ5_0>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ5_1>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ2_K>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ3_K>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ4_K>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ5_K>(const Accumulate&);
template void accumulate_dequantized_avx2<BlockQ6_K>(const Accumulate&);
#endif

template void accumulate_dequantized_scalar<BlockQ8_0>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ4_0>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ4_1>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ5_0>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ5_1>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ2_K>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ3_K>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ4_K>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ5_K>(const Accumulate&);
template void accumulate_dequantized_scalar<BlockQ6_K>(const Accumulate&);

}  // namespace powerinfer
