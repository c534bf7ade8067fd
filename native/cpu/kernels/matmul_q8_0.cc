// Q8_0 weights times activation codes. The definition is matmul_codes_scalar.
#include "multiply_codes.h"
#include "variants.h"

#if POWERINFER_X86
namespace powerinfer {
namespace {

struct Avx2 {
  static constexpr uint32_t kBatch = 2;

  template <uint32_t R, uint32_t C>
  TARGET_AVX2 static void tile(const MatmulTile& tile) {
    const CodeRows<C> x(tile);
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R);
    __m256 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm256_setzero_ps();
    for (uint32_t k = 0; k < tile.op.x.width; k += 32) {
      if constexpr (C == 1) ahead.fetch<R>(sizeof(BlockQ8_0));
      __m256i codes[R];
      __m256 scales[R];
      FOR_REGISTERS(r, R) {
        const BlockQ8_0& block = reinterpret_cast<const BlockQ8_0*>(tile.weights[r])[k / 32];
        codes[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.codes));
        scales[r] = spread_f16(block.d);
      }
      multiply_signed_32(codes, scales, x, k, sums);
    }
    store_sums(tile, sums);
  }
};

struct Vnni {
  static constexpr uint32_t kBatch = 4;

  template <uint32_t R, uint32_t C>
  TARGET_VNNI static void tile(const MatmulTile& tile) {
    const CodeRows<C> x(tile);
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R);
    __m512 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm512_setzero_ps();
    __m512i codes[R];
    __m512 scales[R];
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(128));  // signed code + 128, as an unsigned one
    uint32_t k = 0;
    for (; k + 64 <= tile.op.x.width; k += 64) {
      if constexpr (C == 1) ahead.fetch<R>(2 * sizeof(BlockQ8_0));
      FOR_REGISTERS(r, R) {
        const BlockQ8_0* blocks = reinterpret_cast<const BlockQ8_0*>(tile.weights[r]) + k / 32;
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(blocks[0].codes));
        const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(blocks[1].codes));
        codes[r] = _mm512_xor_si512(join(low, high), flip);
        scales[r] = spread_f16(blocks[0].d, blocks[1].d);
      }
      multiply_64<128>(codes, scales, x, k, sums);
    }
    if (k < tile.op.x.width) {
      FOR_REGISTERS(r, R) {
        const BlockQ8_0& block = reinterpret_cast<const BlockQ8_0*>(tile.weights[r])[k / 32];
        codes[r] = _mm512_xor_si512(_mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.codes))), flip);
        scales[r] = spread_f16(block.d, 0);
      }
      multiply_64<128, false>(codes, scales, x, k, sums);
    }
    store_sums(tile, sums);
  }
};

}  // namespace

void matmul_q8_0_avx2(const Matmul& op) { run_matmul_tiles<Avx2>(op); }
void matmul_q8_0_vnni(const Matmul& op) { run_matmul_tiles<Vnni>(op); }

}  // namespace powerinfer
#endif
