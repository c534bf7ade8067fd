// How is a matrix shared between threads?
#include "multiply.h"

namespace powerinfer {

void multiply(const Kernels& kernels, const Matrix& weight, const uint32_t* ids, uint32_t first, uint32_t count, const Rows& x,
              float* out, uint64_t out_stride) {
  if (count == 0) return;
  if (ids != nullptr && ids[count - 1] - ids[0] == count - 1) {  // a list without gaps
    first = ids[0];
    ids = nullptr;
  }
  const uint8_t* const panels = first % 8 == 0 ? weight.panels : nullptr;
  kernels.matmul[weight.type]({weight.bytes, weight.row_bytes, ids, first, count, x, out, out_stride, panels});
}

void add_bias(const float* bias, uint32_t begin, uint32_t end, float* values) {
  if (bias == nullptr) return;
  for (uint32_t i = begin; i < end; ++i) values[i] += bias[i];
}

void quantize(const Kernels& kernels, const Forms& forms, const Codes& codes, const float* values, uint32_t row, uint32_t row_count, uint32_t begin,
              uint32_t end) {
  const uint64_t at = uint64_t{begin / 32} * row_count + row;  // of the first step
  if (forms.bytes) {
    kernels.quantize_bytes(values + begin, end - begin, row_count, &codes.bytes[at * 32], &codes.byte_scales[at], &codes.sums[at * 2]);
  }
  if (forms.words) kernels.quantize_words(values + begin, end - begin, row_count, &codes.words[at * 32], &codes.word_scales[at]);
}

}  // namespace powerinfer
