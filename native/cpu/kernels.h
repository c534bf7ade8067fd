// What kernels are given, and the table of all kernels that one instruction set offers.
//
// A kernel only computes: no allocation, no globals, no logging, no argument checks (abi_*.cc and bind.cc made them). It works on a slice of its output
// (rows, columns or heads), so that threads share work without sharing a cache line or an accumulator. Every output value is a function of
// its inputs alone: it does not depend on the slice, on the number of threads, or on how many other rows are in the batch.
#pragma once
#include <cstdint>

namespace powerinfer {

// Tensor types, numbered as in GGUF.
enum Type : uint32_t {
  F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8,
  Q2_K = 10, Q3_K = 11, Q4_K = 12, Q5_K = 13, Q6_K = 14, BF16 = 30,
  G2 = 60, G3 = 61,  // of predictors, no file's: quant/gate_codes.h
};
constexpr uint32_t kFileTypeCount = 31;
constexpr uint32_t kTypeCount = 62;
constexpr uint32_t kCacheTypeCount = 3;

// The form in which a weight type wants activations.
enum class Form : uint32_t { kValues = 0, kBytes = 1, kWords = 2 };

// Activations rounded to 8 bits, a scale for every 32 of them. Rows lie beside each other in steps of 32 codes: what unpacked the weights of
// a step multiplies them with all rows, and reads on.
struct ByteCodes {
  const int8_t* codes;   // i8[width / 32, count, 32], -127 .. 127
  const float* scales;   // f32[width / 32, count]
  const int16_t* sums;   // i16[width / 32, count, 2]: of 16 codes each, for weights with offsets
};

// Activations rounded to 16 bits, which costs no measurable fidelity: what 8-bit weights multiply.
struct WordCodes {
  const int16_t* codes;  // i16[width / 32, count, 32], -32767 .. 32767; of every four, the order is 0 2 1 3
  const float* scales;   // f32[width / 32, count]
};

// Activation rows, in the forms weights multiply. `values` is always there, codes only where a weight type asks for them (Kernels::form).
struct Rows {
  const float* values;  // f32[count, stride]
  ByteCodes bytes;
  WordCodes words;
  uint64_t stride;      // floats from one row of values to the next
  uint32_t count;
  uint32_t width;
};

// out[r][n] = weight[n] · x[r] for the weight rows n = rows[0 .. count) (or first .. first + count when rows is null).
struct Matmul {
  const uint8_t* weight;  // weight row n starts at weight + n * row_bytes
  uint64_t row_bytes;
  const uint32_t* rows;   // ascending ids, or null
  uint32_t first;
  uint32_t count;
  Rows x;
  float* out;             // f32[x.count, out_stride], written at column n
  uint64_t out_stride;
  const uint8_t* panels = nullptr;  // the same weights in panels (resident.h); given, `first` is a multiple of 8
};

// out[r][c] += Σk x[r][neurons[k]] * down[neurons[k]][c] for columns begin <= c < end: the neuron-major second half of an FFN.
struct Accumulate {
  const uint8_t* down;      // row n starts at down + n * row_bytes (by-neuron GGUF rows), or a repacked matrix (repack.h)
  uint64_t row_bytes;
  uint32_t hidden_width;
  const uint32_t* neurons;  // ascending
  uint32_t neuron_count;
  Rows x;                   // activations, width ffn_width: zero where a row does not want a listed neuron, and in the codes where none is listed
  uint32_t column_begin;    // multiples of 256 (or hidden_width at the end)
  uint32_t column_end;
  float* out;               // f32[x.count, out_stride]
  uint64_t out_stride;
};

// Positions that attention takes at a time. Spans begin at multiples of it, so where a sum is cut does not depend on who computes it.
constexpr uint32_t kSpanPositions = 128;

// Attention of the query heads that share a KV head, of rows of one cache, over at most kSpanPositions positions. Queries are numbered
// row by row: query = row * group + head.
//   out[query] = Σp e^(score[p] - largest) v[p],  total = Σp e^(score[p] - largest),  score[p] = scale q · k[p],  largest = max score[p]
struct AttendSpan {
  const float* q;                   // f32[group][head_width] of row r at q + r * q_stride, rope applied
  uint64_t q_stride;
  uint32_t row_count;
  uint32_t group;                   // query heads of the KV head
  const uint8_t* k;                 // the span's first position; head_width elements of the cache's type each, `position_bytes` apart
  const uint8_t* v;
  uint64_t position_bytes;
  const uint32_t* position_counts;  // [row_count], how many of the span's positions a row sees; of 0: largest -infinity, the rest 0
  uint32_t head_width;
  float scale;                      // 1 / sqrt(head_width)
  float* scores;                    // scratch f32[row_count * group, kSpanPositions]
  float* largest;                   // f32[row_count * group]
  float* totals;                    // f32[row_count * group]
  float* out;                       // f32[row_count * group, head_width]
};

using MatmulKernel = void (*)(const Matmul&);
using AccumulateKernel = void (*)(const Accumulate&);
// Codes, scales and sums of one of row_count rows (width a multiple of 32), from the row's first step on:
// code = round(value / scale), scale = max |value| / 127 (or 32767).
using QuantizeBytesKernel = void (*)(const float* values, uint32_t width, uint32_t row_count, int8_t* codes, float* scales, int16_t* sums);
using QuantizeWordsKernel = void (*)(const float* values, uint32_t width, uint32_t row_count, int16_t* codes, float* scales);
using AttendSpanKernel = void (*)(const AttendSpan&);
using DequantizeKernel = void (*)(const uint8_t* blocks, float* weights, uint64_t count);
// out = norm(x) * weight (+ bias, layer norm only, may be null); sums in double.
using NormKernel = void (*)(const float* x, const float* weight, const float* bias, float epsilon, uint32_t width, float* out);
// distances[i] = Σ over planes p of 2^p · (bits set in (signs of neuron first + i ^ x_signs) & plane p), for i < count.
struct SignDistances {
  const uint8_t* signs;  // row n starts at signs + n * row_bytes
  uint64_t row_bytes;    // a multiple of 32
  uint32_t first;
  uint32_t count;
  const uint8_t* x_signs;  // [row_bytes]
  const uint8_t* planes;   // [plane_count, row_bytes]
  uint32_t plane_count;    // 1 to 3
  uint32_t* distances;     // u32[count]
};
using SignDistancesKernel = void (*)(const SignDistances&);
// Bit i % 32 of words[i / 32] = scores[i] > thresholds[i], for i < count.
using MarkAboveKernel = void (*)(const float* scores, const float* thresholds, uint32_t count, uint32_t* words);
using ConvertToF16Kernel = void (*)(const float* values, uint16_t* halves, uint64_t count);

struct Kernels {
  MatmulKernel matmul[kTypeCount];          // null: unknown type. Types without a fast kernel have one that dequantizes row by row.
  Form form[kTypeCount];                    // what matmul reads of the activations
  AccumulateKernel accumulate[kTypeCount];  // by-neuron rows in a GGUF type
  AccumulateKernel accumulate_repacked[kTypeCount];  // repacked from a DOWN of that type: reads x in the same form, and for codes gives matmul's bits if weights are finite
  bool reads_panels;  // matmul of types that have panels (resident.h)
  DequantizeKernel dequantize[kTypeCount];
  QuantizeBytesKernel quantize_bytes;
  QuantizeWordsKernel quantize_words;
  AttendSpanKernel attend_span[kCacheTypeCount];  // by POWERINFER_CACHE_x
  NormKernel rms_norm;
  NormKernel layer_norm;
  ConvertToF16Kernel convert_to_f16;
  MarkAboveKernel mark_above;
  SignDistancesKernel sign_distances;
};

// The kernels of an instruction set (POWERINFER_ISA_x; AUTO: the best here), or null if this CPU lacks it. `isa` becomes the one chosen.
const Kernels* kernels_for(uint32_t& isa);
// Bit (1 << isa) for each instruction set this CPU runs.
uint32_t supported_isas();

// Bytes of one row of `width` weights; 0 for an unknown type or a width that is not whole blocks.
uint64_t row_bytes(uint32_t type, uint64_t width);

}  // namespace powerinfer
