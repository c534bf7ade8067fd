// How do eight weight rows of a quantized matrix become vectors whose lane r belongs to row r?
//
// A panel is the same block of eight rows. Its bytes are transposed as they are, four codes of a row staying together, and unpacked after
// that: half as many shuffles for nibbles, and no sum across lanes is ever needed. Included once per instruction set, which defines TARGET.
#include "../../quant/formats.h"
#include "target.h"

namespace powerinfer {
namespace {

// Eight weight rows at one distance from each other: their addresses fit in four registers.
struct RowRange {
  const uint8_t* first;
  uint64_t row_bytes;
  const uint8_t* row(uint32_t r) const { return first + r * row_bytes; }
};

// Any eight weight rows.
struct RowList {
  const uint8_t* rows[8];
  const uint8_t* row(uint32_t r) const { return rows[r]; }
};

// Eight weight rows whose fields lie interleaved, as resident.h describes.
struct RowPanel {
  const uint8_t* bytes;
};

template <class Rows>
TARGET POWERINFER_INLINE __m256i load_two(const Rows& rows, uint32_t r, uint64_t at) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows.row(r) + at));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows.row(r + 4) + at)), 1);
}

// vectors[j] lane r = bytes at + 4 j .. at + 4 j + 3 of row r.
template <class Rows>
TARGET POWERINFER_INLINE void transpose_16(const Rows& rows, uint64_t at, __m256i* vectors) {
  const __m256i a = load_two(rows, 0, at), b = load_two(rows, 1, at), c = load_two(rows, 2, at), d = load_two(rows, 3, at);
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
  vectors[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
  vectors[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
  vectors[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
  vectors[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

TARGET POWERINFER_INLINE void transpose_16(const RowPanel& panel, uint64_t at, __m256i* vectors) {
  FOR_REGISTERS(j, 4) vectors[j] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel.bytes + 8 * at + 32 * j));
}

// Of eight bytes: two vectors. Only panels have such a field.
TARGET POWERINFER_INLINE void transpose_8(const RowPanel& panel, uint64_t at, __m256i* vectors) {
  FOR_REGISTERS(j, 2) vectors[j] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel.bytes + 8 * at + 32 * j));
}

// Lane r = the half at `at` of row r.
template <class Rows>
TARGET POWERINFER_INLINE __m256 halves_of(const Rows& rows, uint64_t at) {
  const auto half = [&](uint32_t r) {
    uint16_t value;
    std::memcpy(&value, rows.row(r) + at, sizeof value);
    return value;
  };
  __m128i halves = _mm_cvtsi32_si128(half(0));
  halves = _mm_insert_epi16(halves, half(1), 1);
  halves = _mm_insert_epi16(halves, half(2), 2);
  halves = _mm_insert_epi16(halves, half(3), 3);
  halves = _mm_insert_epi16(halves, half(4), 4);
  halves = _mm_insert_epi16(halves, half(5), 5);
  halves = _mm_insert_epi16(halves, half(6), 6);
  halves = _mm_insert_epi16(halves, half(7), 7);
  return _mm256_cvtph_ps(halves);
}

TARGET POWERINFER_INLINE __m256 halves_of(const RowPanel& panel, uint64_t at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(panel.bytes + 8 * at)));
}

TARGET POWERINFER_INLINE __m256i low_nibbles(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
TARGET POWERINFER_INLINE __m256i high_nibbles(__m256i bytes) { return low_nibbles(_mm256_srli_epi16(bytes, 4)); }
TARGET POWERINFER_INLINE __m256 scaled(__m256 scale, __m256i small) { return _mm256_mul_ps(scale, _mm256_cvtepi32_ps(small)); }

/*
 * A panel of a format:
 *
 *   kUnits, kSteps         a block is kUnits stretches that are loaded at once; a unit is kSteps steps of 32 codes
 *   kZero                  what is subtracted from an unsigned code
 *   kLargest               the largest unsigned code
 *   open(rows, block)      reads what a whole block needs
 *   load(rows, block, u)   reads the codes of unit u
 *   codes(s, vectors)      codes of step s of that unit: lane r of vectors[j] = codes 4 j .. 4 j + 3 of row r as bytes; 16-bit formats: vectors[2 j]
 *                          = codes 4 j and 4 j + 2, vectors[2 j + 1] = codes 4 j + 1 and 4 j + 3, as words
 *   scale(step, group)     f32 scale of a group of the block's step; offset(step) where the format has one
 */
template <class Block>
struct Panel;

template <>
struct Panel<BlockQ4_0> {
  static constexpr uint32_t kUnits = 1, kSteps = 1, kZero = 8, kLargest = 15;
  __m256 d;
  __m256i nibbles[4];

  template <class Rows>
  TARGET POWERINFER_INLINE void open(const Rows& rows, uint64_t block) { d = halves_of(rows, block * sizeof(BlockQ4_0)); }
  template <class Rows>
  TARGET POWERINFER_INLINE void load(const Rows& rows, uint64_t block, uint32_t) {
    transpose_16(rows, block * sizeof(BlockQ4_0) + offsetof(BlockQ4_0, nibbles), nibbles);
  }
  TARGET POWERINFER_INLINE void codes(uint32_t, __m256i* vectors) const {
    FOR_REGISTERS(j, 4) {
      vectors[j] = low_nibbles(nibbles[j]);
      vectors[4 + j] = high_nibbles(nibbles[j]);
    }
  }
  TARGET POWERINFER_INLINE __m256 scale(uint32_t, uint32_t) const { return d; }
};

// Bits 2 k and 2 k + 1 of every byte, doubled.
TARGET POWERINFER_INLINE __m256i doubled_pairs(__m256i bytes, uint32_t k) {
  const __m256i shifted = k == 0 ? _mm256_slli_epi16(bytes, 1) : _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(static_cast<int>(2 * k - 1)));
  return _mm256_and_si256(shifted, _mm256_set1_epi8(6));
}

template <>
struct Panel<BlockG2> {
  static constexpr uint32_t kUnits = 1, kSteps = 2, kZero = 3, kLargest = 6;
  __m256 d;
  __m256i pairs[4];

  template <class Rows>
  TARGET POWERINFER_INLINE void open(const Rows& rows, uint64_t block) { d = halves_of(rows, block * sizeof(BlockG2)); }
  template <class Rows>
  TARGET POWERINFER_INLINE void load(const Rows& rows, uint64_t block, uint32_t) {
    transpose_16(rows, block * sizeof(BlockG2) + offsetof(BlockG2, pairs), pairs);
  }
  TARGET POWERINFER_INLINE void codes(uint32_t step, __m256i* vectors) const {
    FOR_REGISTERS(j, 8) vectors[j] = doubled_pairs(pairs[j % 4], 2 * step + j / 4);
  }
  TARGET POWERINFER_INLINE __m256 scale(uint32_t, uint32_t) const { return d; }
};

template <>
struct Panel<BlockG3> {
  static constexpr uint32_t kUnits = 1, kSteps = 2, kZero = 7, kLargest = 14;
  __m256 d;
  __m256i pairs[4], thirds[2];

  template <class Rows>
  TARGET POWERINFER_INLINE void open(const Rows& rows, uint64_t block) { d = halves_of(rows, block * sizeof(BlockG3)); }
  template <class Rows>
  TARGET POWERINFER_INLINE void load(const Rows& rows, uint64_t block, uint32_t) {
    transpose_16(rows, block * sizeof(BlockG3) + offsetof(BlockG3, pairs), pairs);
    transpose_8(rows, block * sizeof(BlockG3) + offsetof(BlockG3, thirds), thirds);
  }
  // Codes 4 j .. 4 j + 3 of the step have bit 4 step + j / 2 of thirds[j % 2].
  TARGET POWERINFER_INLINE void codes(uint32_t step, __m256i* vectors) const {
    FOR_REGISTERS(j, 8) {
      const uint32_t bit = 4 * step + j / 2;
      const __m256i shifted = bit < 4 ? _mm256_sll_epi16(thirds[j % 2], _mm_cvtsi32_si128(static_cast<int>(3 - bit)))
                                      : _mm256_srl_epi16(thirds[j % 2], _mm_cvtsi32_si128(static_cast<int>(bit - 3)));
      vectors[j] = _mm256_or_si256(doubled_pairs(pairs[j % 4], 2 * step + j / 4), _mm256_and_si256(shifted, _mm256_set1_epi8(8)));
    }
  }
  TARGET POWERINFER_INLINE __m256 scale(uint32_t, uint32_t) const { return d; }
};

template <>
struct Panel<BlockQ8_0> {
  static constexpr uint32_t kUnits = 1, kSteps = 1, kZero = 0;
  __m256 d;
  __m256i bytes[8];

  template <class Rows>
  TARGET POWERINFER_INLINE void open(const Rows& rows, uint64_t block) { d = halves_of(rows, block * sizeof(BlockQ8_0)); }
  template <class Rows>
  TARGET POWERINFER_INLINE void load(const Rows& rows, uint64_t block, uint32_t) {
    transpose_16(rows, block * sizeof(BlockQ8_0) + offsetof(BlockQ8_0, codes), bytes);
    transpose_16(rows, block * sizeof(BlockQ8_0) + offsetof(BlockQ8_0, codes) + 16, bytes + 4);
  }
  TARGET POWERINFER_INLINE void codes(uint32_t, __m256i* vectors) const {
    FOR_REGISTERS(j, 8) {
      vectors[2 * j] = _mm256_srai_epi16(_mm256_slli_epi16(bytes[j], 8), 8);
      vectors[2 * j + 1] = _mm256_srai_epi16(bytes[j], 8);
    }
  }
  TARGET POWERINFER_INLINE __m256 scale(uint32_t, uint32_t) const { return d; }
};

template <>
struct Panel<BlockQ4_K> {
  static constexpr uint32_t kUnits = 4, kSteps = 2, kZero = 0, kLargest = 15;
  __m256 d, dmin;
  __m256i scales[2], minimums[2];  // byte i of word w: of step 4 w + i
  __m256i nibbles[8];

  template <class Rows>
  TARGET POWERINFER_INLINE void open(const Rows& rows, uint64_t block) {
    const uint64_t at = block * sizeof(BlockQ4_K);
    __m256i words[4];  // d and dmin, then the three words that unpack_k_scales reads
    transpose_16(rows, at, words);
    const __m256i low = _mm256_set1_epi32(0x3f3f3f3f), nibble = _mm256_set1_epi32(0x0f0f0f0f), pair = _mm256_set1_epi32(0x30303030);
    scales[0] = _mm256_and_si256(words[1], low);
    scales[1] = _mm256_or_si256(_mm256_and_si256(words[3], nibble), _mm256_and_si256(_mm256_srli_epi32(words[1], 2), pair));
    minimums[0] = _mm256_and_si256(words[2], low);
    minimums[1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(words[3], 4), nibble), _mm256_and_si256(_mm256_srli_epi32(words[2], 2), pair));
    const __m256i halves = _mm256_permute4x64_epi64(
        _mm256_packus_epi32(_mm256_and_si256(words[0], _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(words[0], 16)), 0xd8);
    d = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    dmin = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
  }
  template <class Rows>
  TARGET POWERINFER_INLINE void load(const Rows& rows, uint64_t block, uint32_t unit) {
    const uint64_t at = block * sizeof(BlockQ4_K) + offsetof(BlockQ4_K, nibbles) + 32 * unit;
    transpose_16(rows, at, nibbles);
    transpose_16(rows, at + 16, nibbles + 4);
  }
  TARGET POWERINFER_INLINE void codes(uint32_t step, __m256i* vectors) const {
    FOR_REGISTERS(j, 8) vectors[j] = step == 0 ? low_nibbles(nibbles[j]) : high_nibbles(nibbles[j]);
  }
  TARGET POWERINFER_INLINE static __m256i byte_of(const __m256i (&words)[2], uint32_t step) {
    return _mm256_and_si256(_mm256_srlv_epi32(words[step / 4], _mm256_set1_epi32(static_cast<int>(step % 4 * 8))), _mm256_set1_epi32(255));
  }
  TARGET POWERINFER_INLINE __m256 scale(uint32_t step, uint32_t) const { return scaled(d, byte_of(scales, step)); }
  TARGET POWERINFER_INLINE __m256 offset(uint32_t step) const {
    return _mm256_sub_ps(_mm256_setzero_ps(), scaled(dmin, byte_of(minimums, step)));
  }
};

template <>
struct Panel<BlockQ6_K> {
  static constexpr uint32_t kUnits = 2, kSteps = 4, kZero = 32, kLargest = 63;
  __m256 d;
  __m256i scales[4];          // byte i of word w: of group 4 w + i
  __m256i low[16], high[8];   // of a half block

  template <class Rows>
  TARGET POWERINFER_INLINE void open(const Rows& rows, uint64_t block) {
    const uint64_t at = block * sizeof(BlockQ6_K);
    transpose_16(rows, at + offsetof(BlockQ6_K, scales), scales);
    d = halves_of(rows, at + offsetof(BlockQ6_K, d));
  }
  template <class Rows>
  TARGET POWERINFER_INLINE void load(const Rows& rows, uint64_t block, uint32_t unit) {
    const uint64_t at = block * sizeof(BlockQ6_K);
    FOR_REGISTERS(i, 4) transpose_16(rows, at + offsetof(BlockQ6_K, low) + 64 * unit + 16 * i, low + 4 * i);
    FOR_REGISTERS(i, 2) transpose_16(rows, at + offsetof(BlockQ6_K, high) + 32 * unit + 16 * i, high + 4 * i);
  }
  // Step 2 h + k has nibble h of the k-th 32 bytes of low, and bits 4 h + 2 k of high (quant/q6_k.h).
  TARGET POWERINFER_INLINE void codes(uint32_t step, __m256i* vectors) const {
    const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(2 * step));
    FOR_REGISTERS(j, 8) {
      const __m256i nibbles = low[step % 2 * 8 + j];
      const __m256i pairs = _mm256_and_si256(_mm256_srl_epi16(high[j], shift), _mm256_set1_epi8(3));
      vectors[j] = _mm256_or_si256(step < 2 ? low_nibbles(nibbles) : high_nibbles(nibbles), _mm256_slli_epi16(pairs, 4));
    }
  }
  TARGET POWERINFER_INLINE __m256 scale(uint32_t step, uint32_t group) const {
    const uint32_t i = 2 * step + group;
    const __m256i top = _mm256_sllv_epi32(scales[i / 4], _mm256_set1_epi32(static_cast<int>(24 - i % 4 * 8)));
    return scaled(d, _mm256_srai_epi32(top, 24));
  }
};

}  // namespace
}  // namespace powerinfer
