// F32, F16 and BF16 weights times f32 activations, which are not rounded.
#include "horizontal_sum.h"
#include "matmul_tiles.h"
#include "variants.h"

namespace powerinfer {

// The definition. Every other variant may differ from it by rounding only.
template <class Element>
void matmul_float_scalar(const Matmul& op) {
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint32_t column = weight_row(op, i);
    const uint8_t* weight = op.weight + column * op.row_bytes;
    for (uint32_t r = 0; r < op.x.count; ++r) {
      const float* x = op.x.values + r * op.x.stride;
      float sum = 0;
      for (uint32_t k = 0; k < op.x.width; ++k) sum += Element::at(weight, k) * x[k];
      op.out[r * op.out_stride + column] = sum;
    }
  }
}

#if POWERINFER_X86
namespace {

template <class Element>
struct Avx2 {
  static constexpr uint32_t kBatch = 2;  // 4 × 2 sums leave half of the 16 registers to weights and activations

  template <uint32_t R, uint32_t C>
  TARGET_AVX2 static void tile(const MatmulTile& tile) {
    const Rows& x = tile.op.x;
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R, R);
    const float* values = x.values + tile.row * x.stride;
    const uint32_t vector_end = x.width & ~7u;
    __m256 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm256_setzero_ps();
    for (uint32_t k = 0; k < vector_end; k += 8) {
      if constexpr (C == 1) ahead.fetch(R * 8 * Element::kBytes);
      __m256 weights[R];
      FOR_REGISTERS(r, R) weights[r] = Element::load8(tile.weights[r], k);
      FOR_REGISTERS(c, C) {
        const __m256 v = _mm256_loadu_ps(values + c * x.stride + k);
        FOR_REGISTERS(r, R) sums[r][c] = _mm256_fmadd_ps(weights[r], v, sums[r][c]);
      }
    }
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) {
        float sum = horizontal_sum(sums[r][c]);
        for (uint32_t k = vector_end; k < x.width; ++k) sum += Element::at(tile.weights[r], k) * values[c * x.stride + k];
        tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = sum;
      }
  }
};

template <class Element>
struct Avx512 {
  static constexpr uint32_t kBatch = 4;

  template <uint32_t R, uint32_t C>
  TARGET_AVX512 POWERINFER_INLINE static void step(const MatmulTile& tile, const float* values, uint32_t k, __mmask16 mask, __m512 (&sums)[R][C]) {
    __m512 weights[R];
    FOR_REGISTERS(r, R) weights[r] = Element::load16(mask, tile.weights[r], k);
    FOR_REGISTERS(c, C) {
      const __m512 v = _mm512_maskz_loadu_ps(mask, values + c * tile.op.x.stride + k);
      FOR_REGISTERS(r, R) sums[r][c] = _mm512_fmadd_ps(weights[r], v, sums[r][c]);
    }
  }

  template <uint32_t R, uint32_t C>
  TARGET_AVX512 static void tile(const MatmulTile& tile) {
    const Rows& x = tile.op.x;
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R, R);
    const float* values = x.values + tile.row * x.stride;
    __m512 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm512_setzero_ps();
    const uint32_t vector_end = x.width & ~15u;
    for (uint32_t k = 0; k < vector_end; k += 16) {
      if constexpr (C == 1) ahead.fetch(R * 16 * Element::kBytes);
      step(tile, values, k, 0xffff, sums);
    }
    if (vector_end < x.width) step(tile, values, vector_end, first_lanes(x.width - vector_end), sums);
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = horizontal_sum(sums[r][c]);
  }
};

}  // namespace

template <class Element>
void matmul_float_avx2(const Matmul& op) {
  run_matmul_tiles<Avx2<Element>>(op);
}
template <class Element>
void matmul_float_avx512(const Matmul& op) {
  run_matmul_tiles<Avx512<Element>>(op);
}

template void matmul_float_avx2<ElementF32>(const Matmul&);
template void matmul_float_avx2<ElementF16>(const Matmul&);
template void matmul_float_avx2<ElementBF16>(const Matmul&);
template void matmul_float_avx512<ElementF32>(const Matmul&);
template void matmul_float_avx512<ElementF16>(const Matmul&);
template void matmul_float_avx512<ElementBF16>(const Matmul&);
#endif

template void matmul_float_scalar<ElementF32>(const Matmul&);
template void matmul_float_scalar<ElementF16>(const Matmul&);
template void matmul_float_scalar<ElementBF16>(const Matmul&);

}  // namespace powerinfer
