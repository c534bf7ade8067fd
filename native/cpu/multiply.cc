// How is a matrix shared between threads?
#include "multiply.h"

namespace powerinfer {

void multiply(const Kernels& kernels, const Matrix& weight, const uint32_t* ids, uint32_t first, uint32_t count, const Rows& x,
              float* out, uint64_t out_stride) {
  if (count == 0) return;
  kernels.matmul[weight.type]({weight.bytes, weight.row_bytes, ids, first, count, x, out, out_stride});
}

void add_bias(const float* bias, uint32_t begin, uint32_t end, float* values) {
  if (bias == nullptr) return;
  for (uint32_t i = begin; i < end; ++i) values[i] += bias[i];
}

void quantize(const Kernels& kernels, const Codes& codes, const float* values, uint32_t row, uint32_t width, uint32_t begin, uint32_t end) {
  const uint64_t start = uint64_t{row} * width + begin;
  kernels.quantize_row(values + begin, end - begin, &codes.codes[start], &codes.scales[start / 32], &codes.sums[start / 16]);
}

}  // namespace powerinfer
