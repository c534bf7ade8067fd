// Q6_K weights times activation codes. The definition is matmul_codes_scalar.
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
    const __m256i nibble = _mm256_set1_epi8(15), pair = _mm256_set1_epi8(3);
    for (uint32_t k = 0; k < tile.op.x.width; k += 256) {
      alignas(32) float scales_of[R][16];
      FOR_REGISTERS(r, R) {
        const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(tile.weights[r])[k / 256];
        const __m128i small = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scales));
        const __m256 d = spread_f16(block.d);
        _mm256_store_ps(scales_of[r], _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(small))));
        _mm256_store_ps(scales_of[r] + 8, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(small, 8)))));
      }
      // Eight steps of 32: the half block n, the nibble h, the run l of 32 bytes (quant/q6_k.h).
      FOR_REGISTERS(step, 8) {
        if constexpr (C == 1) ahead.fetch<R>(27);  // an eighth of a block's 210 bytes
        const uint32_t n = step / 4, h = step / 2 % 2, l = step % 2;
        __m256i codes[R];
        __m256 scales[R];
        FOR_REGISTERS(r, R) {
          const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(tile.weights[r])[k / 256];
          const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.low + 64 * n + 32 * l));
          const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.high + 32 * n));
          const __m256i low_bits = _mm256_and_si256(_mm256_srl_epi16(low, _mm_cvtsi32_si128(static_cast<int>(4 * h))), nibble);
          const __m256i high_bits = _mm256_and_si256(_mm256_srl_epi16(high, _mm_cvtsi32_si128(static_cast<int>(4 * h + 2 * l))), pair);
          codes[r] = _mm256_or_si256(low_bits, _mm256_slli_epi16(high_bits, 4));
          scales[r] = _mm256_set_m128(_mm_broadcast_ss(scales_of[r] + 2 * step + 1), _mm_broadcast_ss(scales_of[r] + 2 * step));
        }
        multiply_32<32>(codes, scales, x, k + 32 * step, sums);
      }
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
    const __m512i nibble = _mm512_set1_epi8(15), pair = _mm512_set1_epi8(3), four = _mm512_set1_epi32(4);
    for (uint32_t k = 0; k < tile.op.x.width; k += 256) {
      __m512 scales_of[R];  // of the sixteen groups
      FOR_REGISTERS(r, R) {
        const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(tile.weights[r])[k / 256];
        const __m512i small = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scales)));
        scales_of[r] = _mm512_mul_ps(spread_f16(block.d, block.d), _mm512_cvtepi32_ps(small));
      }
      __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
      // Four steps of 64: the half block n, the nibble h (quant/q6_k.h).
      for (uint32_t step = 0; step < 4; ++step, lanes = _mm512_add_epi32(lanes, four)) {
        if constexpr (C == 1) ahead.fetch<R>(53);  // a quarter of a block's 210 bytes
        const uint32_t n = step / 2;
        const int64_t h = step % 2;
        const __m512i low_shifts = _mm512_set1_epi64(4 * h);
        const __m512i high_shifts = _mm512_add_epi64(low_shifts, _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2));
        __m512i codes[R];
        __m512 scales[R];
        FOR_REGISTERS(r, R) {
          const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(tile.weights[r])[k / 256];
          const __m512i low = _mm512_srlv_epi64(_mm512_loadu_si512(block.low + 64 * n), low_shifts);
          const __m512i twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.high + 32 * n)));
          const __m512i high = _mm512_and_si512(_mm512_srlv_epi64(twice, high_shifts), pair);
          codes[r] = _mm512_or_si512(_mm512_and_si512(low, nibble), _mm512_slli_epi16(high, 4));
          scales[r] = _mm512_permutexvar_ps(lanes, scales_of[r]);
        }
        multiply_64<32>(codes, scales, x, k + 64 * step, sums);
      }
    }
    store_sums(tile, sums);
  }
};

}  // namespace

void matmul_q6_k_avx2(const Matmul& op) { run_matmul_tiles<Avx2>(op); }
void matmul_q6_k_vnni(const Matmul& op) { run_matmul_tiles<Vnni>(op); }

}  // namespace powerinfer
#endif
