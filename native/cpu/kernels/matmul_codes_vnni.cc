// Quantized weights times activation codes, with the dot product instructions of AVX-512 VNNI on 256-bit registers: twice as wide ones hold
// sixteen weight rows, which few sparse chunks fill, and run no faster where a core executes them in halves.
#include "target.h"

#if POWERINFER_X86
#include <algorithm>
#include "variants.h"

#define TARGET TARGET_VNNI

namespace powerinfer {
namespace {

// Lane i = Σj over the four bytes of lane i of codes[j] · factors[j]; codes unsigned, factors signed.
template <uint32_t, uint32_t N>
TARGET POWERINFER_INLINE __m256i sum_of_products(const __m256i* codes, const __m256i (&factors)[N]) {
  __m256i sum = _mm256_setzero_si256();
  FOR_REGISTERS(j, N) sum = _mm256_dpbusd_epi32(sum, codes[j], factors[j]);
  return sum;
}

// sum + the products of 16-bit lanes, in pairs.
TARGET POWERINFER_INLINE __m256i add_word_products(__m256i sum, __m256i codes, __m256i factors) { return _mm256_dpwssd_epi32(sum, codes, factors); }

}  // namespace
}  // namespace powerinfer

#include "multiply_panels.h"

namespace powerinfer {

template <class Block>
void matmul_codes_vnni(const Matmul& op) {
  if constexpr (std::is_same_v<Block, BlockG2> || std::is_same_v<Block, BlockG3>) multiply_only_panels<Block>(op);
  else multiply_panels<Block>(op);
}

template void matmul_codes_vnni<BlockQ8_0>(const Matmul&);
template void matmul_codes_vnni<BlockQ4_0>(const Matmul&);
template void matmul_codes_vnni<BlockQ4_K>(const Matmul&);
template void matmul_codes_vnni<BlockQ6_K>(const Matmul&);
template void matmul_codes_vnni<BlockG2>(const Matmul&);
template void matmul_codes_vnni<BlockG3>(const Matmul&);

}  // namespace powerinfer
#endif
