// Quantized weights times activation codes, with AVX2.
#include "target.h"

#if POWERINFER_X86
#include <algorithm>
#include "variants.h"

#define TARGET TARGET_AVX2

namespace powerinfer {
namespace {

// Lane i = Σj over the four bytes of lane i of codes[j] · factors[j]. Codes are unsigned, at most kLargest, factors signed, -127 .. 127: as
// many pairs of products are added in 16 bits as fit.
template <uint32_t kLargest, uint32_t N>
TARGET POWERINFER_INLINE __m256i sum_of_products(const __m256i* codes, const __m256i (&factors)[N]) {
  constexpr uint32_t kAtOnce = std::min(N, 32767 / (2 * 127 * kLargest));
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum = _mm256_setzero_si256();
  FOR_REGISTERS(begin, N / kAtOnce) {
    __m256i pairs = _mm256_maddubs_epi16(codes[begin * kAtOnce], factors[begin * kAtOnce]);
    for (uint32_t j = 1; j < kAtOnce; ++j) pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(codes[begin * kAtOnce + j], factors[begin * kAtOnce + j]));
    sum = begin == 0 ? _mm256_madd_epi16(pairs, ones) : _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
  }
  static_assert(N % kAtOnce == 0);
  return sum;
}

// sum + the products of 16-bit lanes, in pairs.
TARGET POWERINFER_INLINE __m256i add_word_products(__m256i sum, __m256i codes, __m256i factors) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, factors));
}

}  // namespace
}  // namespace powerinfer

#include "multiply_panels.h"

namespace powerinfer {

template <class Block>
void matmul_codes_avx2(const Matmul& op) {
  if constexpr (std::is_same_v<Block, BlockG2> || std::is_same_v<Block, BlockG3>) multiply_only_panels<Block>(op);
  else multiply_panels<Block>(op);
}

template void matmul_codes_avx2<BlockQ8_0>(const Matmul&);
template void matmul_codes_avx2<BlockQ4_0>(const Matmul&);
template void matmul_codes_avx2<BlockQ4_K>(const Matmul&);
template void matmul_codes_avx2<BlockQ6_K>(const Matmul&);
template void matmul_codes_avx2<BlockG2>(const Matmul&);
template void matmul_codes_avx2<BlockG3>(const Matmul&);

}  // namespace powerinfer
#endif
