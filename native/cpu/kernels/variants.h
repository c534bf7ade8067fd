// Every kernel variant there is; dispatch.cc chooses among them. Suffixes: _scalar is the definition, _avx2, _avx512, _vnni may differ
// from it by rounding only.
#pragma once
#include "../../quant/formats.h"
#include "element.h"
#include "target.h"

namespace powerinfer {

template <class Element> void matmul_float_scalar(const Matmul&);
template <class Block> void matmul_codes_scalar(const Matmul&);
template <class Block> void matmul_dequantized_scalar(const Matmul&);
template <class Element> void accumulate_float_scalar(const Accumulate&);
template <class Block> void accumulate_dequantized_scalar(const Accumulate&);
template <class Block> void accumulate_codes_scalar(const Accumulate&);
template <class Block> void accumulate_repacked_scalar(const Accumulate&);
void quantize_bytes_scalar(const float* values, uint32_t width, uint32_t row_count, int8_t* codes, float* scales, int16_t* sums);
void quantize_words_scalar(const float* values, uint32_t width, uint32_t row_count, int16_t* codes, float* scales);
template <class Element> void attend_span_scalar(const AttendSpan&);
void convert_to_f16_scalar(const float* values, uint16_t* halves, uint64_t count);
void sign_distances_scalar(const SignDistances&);
void mark_above_scalar(const float* scores, const float* thresholds, uint32_t count, uint32_t* words);

#if POWERINFER_X86
template <class Element> void matmul_float_avx2(const Matmul&);
template <class Element> void matmul_float_avx512(const Matmul&);
template <class Block> void matmul_codes_avx2(const Matmul&);
template <class Block> void matmul_codes_vnni(const Matmul&);
template <class Block> void matmul_dequantized_avx2(const Matmul&);
template <class Element> void accumulate_float_avx2(const Accumulate&);
template <class Element> void accumulate_float_avx512(const Accumulate&);
template <class Block> void accumulate_dequantized_avx2(const Accumulate&);
template <class Block> void accumulate_codes_avx2(const Accumulate&);
template <class Block> void accumulate_repacked_avx2(const Accumulate&);
void quantize_bytes_avx2(const float* values, uint32_t width, uint32_t row_count, int8_t* codes, float* scales, int16_t* sums);
void quantize_words_avx2(const float* values, uint32_t width, uint32_t row_count, int16_t* codes, float* scales);
template <class Element> void attend_span_avx2(const AttendSpan&);
void convert_to_f16_avx2(const float* values, uint16_t* halves, uint64_t count);
void sign_distances_avx2(const SignDistances&);
void sign_distances_popcount(const SignDistances&);  // AVX-512 VPOPCNTDQ
void mark_above_avx2(const float* scores, const float* thresholds, uint32_t count, uint32_t* words);
#endif

// One variant each: they are a few millionths of a token.
template <class Element> void dequantize_float(const uint8_t* elements, float* weights, uint64_t count);
template <class Block> void dequantize_blocks(const uint8_t* blocks, float* weights, uint64_t count);
void rms_norm(const float* x, const float* weight, const float* bias, float epsilon, uint32_t width, float* out);
void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, uint32_t width, float* out);

}  // namespace powerinfer
