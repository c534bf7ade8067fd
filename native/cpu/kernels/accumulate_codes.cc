// Adds what active neurons contribute to every column, from the grouped layout of repack.h: activation codes times weight codes, the sum that
// matmul_codes makes of all neurons.
#include <cmath>
#include "repacked_walk.h"
#include "step_codes.h"
#include "variants.h"

namespace powerinfer {

namespace {

// The neurons of one group whose activation code is not zero in one batch row. A group adds nothing to a row without any, even where weights
// are infinite, so a row's sums are the same in every batch; a group with a NaN has codes 0 but counts.
struct CodedNeurons {
  float scale;
  int32_t sum = 0;                            // of the codes
  uint32_t count = 0;
  const uint8_t* rows[kGroupNeuronsMax];  // weight codes
  int32_t codes[kGroupNeuronsMax];        // an odd count is followed by the last row again, times 0

  template <class Block>
  CodedNeurons(const Accumulate& op, const ListedGroup<Block>& group, uint32_t row) {
    const uint64_t at = uint64_t{*group.neurons / 32} * op.x.count + row;
    scale = x_scale<Block>(op.x, at);
    for (uint32_t k = 0; k < group.count; ++k) {
      rows[count] = group.codes(k);
      codes[count] = x_code<Block>(op.x, at, group.neurons[k] % 32);
      sum += codes[count];
      count += codes[count] != 0;
    }
    if (count % 2 == 1) {
      rows[count] = rows[count - 1];
      codes[count] = 0;
    }
  }
  bool adds() const { return count != 0 || std::isnan(scale); }
};

// Calls add(group, some, out) for every group and every batch row that the group adds to.
template <class Block, class Add>
void for_each_coded_group(const Accumulate& op, Add&& add) {
  for_each_group<Block>(op, [&](const ListedGroup<Block>& group) {
    for (uint32_t row = 0; row < op.x.count; ++row) {
      const CodedNeurons some(op, group, row);
      if (some.adds()) add(group.rows, some, op.out + row * op.out_stride);
    }
  });
}

}  // namespace

// The definition, and the bits of matmul_codes_scalar: exact integer dot products inside every group, then one f32 chain over the groups.
template <class Block>
void accumulate_codes_scalar(const Accumulate& op) {
  for_each_coded_group<Block>(op, [&](const RepackedGroup<Block>& group, const CodedNeurons& some, float* out) {
    for (uint32_t c = op.column_begin; c < op.column_end; ++c) {
      float& sum = out[c];
      int32_t dot = 0;
      for (uint32_t k = 0; k < some.count; ++k) dot += some.codes[k] * Repacked<Block>::code(some.rows[k], c);
      sum = std::fma(group.scale(c) * some.scale, static_cast<float>(dot), sum);
      if constexpr (Block::kHasOffset) sum = std::fma(group.offset(c) * some.scale, static_cast<float>(some.sum), sum);
    }
  });
}

template void accumulate_codes_scalar<BlockQ8_0>(const Accumulate&);
template void accumulate_codes_scalar<BlockQ4_0>(const Accumulate&);
template void accumulate_codes_scalar<BlockQ4_K>(const Accumulate&);
template void accumulate_codes_scalar<BlockQ6_K>(const Accumulate&);

#if POWERINFER_X86
namespace {

// The same in pairs of neurons: one instruction multiplies the interleaved codes of two and adds them.
template <class Block>
struct CodePairs {
  uint32_t count;
  int32_t sum;
  __m256 scale, float_sum;
  const uint8_t* rows[kGroupNeuronsMax];
  int32_t codes[kGroupNeuronsMax / 2];  // both activation codes, in 16 bits each or twice in 8

  TARGET_AVX2 explicit CodePairs(const CodedNeurons& some)
      : count((some.count + 1) / 2), sum(some.sum), scale(_mm256_set1_ps(some.scale)), float_sum(_mm256_set1_ps(static_cast<float>(some.sum))) {
    for (uint32_t k = 0; k < 2 * count; ++k) rows[k] = some.rows[k];
    for (uint32_t k = 0; k < count; ++k) {
      const uint32_t first = static_cast<uint32_t>(some.codes[2 * k]), second = static_cast<uint32_t>(some.codes[2 * k + 1]);
      codes[k] = static_cast<int32_t>(Repacked<Block>::kPacked ? ((first & 255) | (second & 255) << 8) * 0x10001u : (first & 0xffff) | second << 16);
    }
  }

  // out[i] += what the group adds to column c + i, i < 8, given the integer dot products.
  TARGET_AVX2 POWERINFER_INLINE void add(const RepackedGroup<Block>& group, uint32_t c, __m256 dots, float* out) const {
    __m256 sums = _mm256_fmadd_ps(_mm256_mul_ps(group.scale8(c), scale), dots, _mm256_loadu_ps(out));
    if constexpr (Block::kHasOffset) sums = _mm256_fmadd_ps(_mm256_mul_ps(group.offset8(c), scale), float_sum, sums);
    _mm256_storeu_ps(out, sums);
  }
};

// out[i] += what the group adds to column c + i, i < kStepColumns.
//
// Nibbles less 8, times activation codes, never leave 16 bits (32 neurons: 8 · 127 · 32 = 32512), so the sums may wrap on the way. They become
// floats by their place in the mantissa of 2^23 + 2^15, which is cheaper than converting them.
template <class Block>
TARGET_AVX2 POWERINFER_INLINE void add_nibbles(const RepackedGroup<Block>& group, const CodePairs<Block>& pairs, uint32_t c, float* out) {
  const __m256i low = _mm256_set1_epi8(15);
  __m256i words[4];
  FOR_REGISTERS(i, 4) words[i] = _mm256_set1_epi16(static_cast<int16_t>(0x8000 - 8 * pairs.sum));
  for (uint32_t k = 0; k < pairs.count; ++k) {
    const __m256i codes = _mm256_set1_epi32(pairs.codes[k]);
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs.rows[2 * k] + c / 2));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs.rows[2 * k + 1] + c / 2));
    const __m256i both[2] = {_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)};
    FOR_REGISTERS(i, 2) {
      words[i] = _mm256_add_epi16(words[i], _mm256_maddubs_epi16(_mm256_and_si256(both[i], low), codes));
      words[2 + i] = _mm256_add_epi16(words[2 + i], _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(both[i], 4), low), codes));
    }
  }
  const __m256i exponent = _mm256_set1_epi16(0x4b00);
  const __m256 zero = _mm256_set1_ps(static_cast<float>(0x800000 + 0x8000 - (8 - Repacked<Block>::kNibbleZero) * pairs.sum));
  FOR_REGISTERS(i, 4) {
    const __m256 dots[2] = {_mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpacklo_epi16(words[i], exponent)), zero),
                            _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpackhi_epi16(words[i], exponent)), zero)};
    FOR_REGISTERS(j, 2) pairs.add(group, c + 16 * i + 8 * j, dots[j], out + 16 * i + 8 * j);
  }
}

// The same for codes in bytes.
template <class Block>
TARGET_AVX2 POWERINFER_INLINE void add_bytes(const RepackedGroup<Block>& group, const CodePairs<Block>& pairs, uint32_t c, float* out) {
  __m256i sums[8];
  FOR_REGISTERS(i, 8) sums[i] = _mm256_setzero_si256();
  for (uint32_t k = 0; k < pairs.count; ++k) {
    const __m256i codes = _mm256_set1_epi32(pairs.codes[k]);
    FOR_REGISTERS(i, 4) {
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs.rows[2 * k] + c + 16 * i));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs.rows[2 * k + 1] + c + 16 * i));
      sums[2 * i] = _mm256_add_epi32(sums[2 * i], _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b)), codes));
      sums[2 * i + 1] = _mm256_add_epi32(sums[2 * i + 1], _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b)), codes));
    }
  }
  FOR_REGISTERS(i, 8) pairs.add(group, c + 8 * i, _mm256_cvtepi32_ps(sums[i]), out + 8 * i);
}

template <class Block>
TARGET_AVX2 POWERINFER_INLINE void add_step(const RepackedGroup<Block>& group, const CodePairs<Block>& pairs, uint32_t c, float* out) {
  if constexpr (Repacked<Block>::kPacked) add_nibbles(group, pairs, c, out);
  else add_bytes(group, pairs, c, out);
}

}  // namespace

template <class Block>
TARGET_AVX2 void accumulate_codes_avx2(const Accumulate& op) {
  for_each_coded_group<Block>(op, [&](RepackedGroup<Block> group, const CodedNeurons& some, float* out) TARGET_AVX2 {
    const CodePairs<Block> pairs(some);
    const uint32_t end = op.column_end;
    uint32_t c = op.column_begin;
    for (; c + kStepColumns <= end; c += kStepColumns) add_step(group, pairs, c, out + c);
    if (c >= end) return;
    float last[kStepColumns] = {};  // the layout goes on for a whole step, `out` does not
    std::memcpy(last, out + c, (end - c) * sizeof(float));
    add_step(group, pairs, c, last);
    std::memcpy(out + c, last, (end - c) * sizeof(float));
  });
}

template void accumulate_codes_avx2<BlockQ8_0>(const Accumulate&);
template void accumulate_codes_avx2<BlockQ4_0>(const Accumulate&);
template void accumulate_codes_avx2<BlockQ4_K>(const Accumulate&);
template void accumulate_codes_avx2<BlockQ6_K>(const Accumulate&);
#endif

}  // namespace powerinfer
