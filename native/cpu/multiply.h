// How is a matrix shared between threads?
//
// By weight rows: a chunk of them is multiplied with every row of the batch, so weights are read from memory once per batch.
#pragma once
#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "model.h"

namespace powerinfer {

// Weight rows that a thread takes at a time.
struct Chunking {
  uint32_t chunk_rows;
  uint32_t chunk_count;
};

// Chunks of about 128 KiB of weights: microseconds of work, far more than handing one out costs, yet so many of them that threads finish
// together. Small loops are cut finer, down to `multiple` rows, to give every thread some four of them.
inline Chunking chunk_rows_of(uint64_t row_bytes, uint32_t rows, uint64_t loop_bytes, uint32_t thread_count, uint32_t multiple) {
  constexpr uint64_t kChunkBytes = 128 * 1024;
  const uint64_t chunk_bytes = std::min<uint64_t>(kChunkBytes, loop_bytes / (uint64_t{thread_count} * 4));
  const uint32_t chunk_rows = std::max(multiple, static_cast<uint32_t>(std::min<uint64_t>(chunk_bytes / row_bytes, rows)) / multiple * multiple);
  return {chunk_rows, (rows + chunk_rows - 1) / chunk_rows};
}

// Runs body(index, first, count) over chunks of weight rows of all `matrices` in one loop of the pool: one barrier however many there are.
template <class Body>
void for_each_row_chunk(Cpu& cpu, std::initializer_list<const Matrix*> matrices, Body&& body) {
  constexpr uint32_t kMatrixMax = 3;
  constexpr uint32_t kRowMultiple = 8;  // whole tiles for the kernels, and outputs of half a cache line or more
  uint64_t loop_bytes = 0;
  for (const Matrix* matrix : matrices) loop_bytes += matrix->row_bytes * matrix->rows;
  Chunking chunkings[kMatrixMax];
  uint32_t rows[kMatrixMax];
  uint32_t chunk_count = 0;
  uint32_t matrix_count = 0;
  for (const Matrix* matrix : matrices) {
    chunkings[matrix_count] = chunk_rows_of(matrix->row_bytes, matrix->rows, loop_bytes, cpu.pool.thread_count(), kRowMultiple);
    rows[matrix_count] = matrix->rows;
    chunk_count += chunkings[matrix_count++].chunk_count;
  }
  cpu.pool.for_each(chunk_count, [&](uint32_t chunk, uint32_t) {
    uint32_t index = 0;
    while (chunk >= chunkings[index].chunk_count) chunk -= chunkings[index++].chunk_count;
    const uint32_t first = chunk * chunkings[index].chunk_rows;
    body(index, first, std::min(chunkings[index].chunk_rows, rows[index] - first));
  });
}

// Runs body(row) for every row of the batch. One row (decode) is cheaper done here than handed to a thread.
template <class Body>
void for_each_row(Cpu& cpu, uint32_t row_count, Body&& body) {
  if (row_count == 1) return body(0);
  cpu.pool.for_each(row_count, [&](uint32_t row, uint32_t) { body(row); });
}

// out[r][n] = weight[n] · x[r] for `count` weight rows: first .. first + count, or those that `ids` names.
void multiply(const Kernels& kernels, const Matrix& weight, const uint32_t* ids, uint32_t first, uint32_t count, const Rows& x,
              float* out, uint64_t out_stride);

// values[row][begin .. end) += bias[begin .. end), which may be null.
void add_bias(const float* bias, uint32_t begin, uint32_t end, float* values);

// The forms of activations that some of the matrices want.
struct Forms {
  bool bytes = false;
  bool words = false;

  Forms(const Kernels& kernels, std::initializer_list<const Matrix*> matrices) {
    for (const Matrix* matrix : matrices) {
      if (!matrix->bound()) continue;
      bytes |= kernels.form[matrix->type] == Form::kBytes;
      words |= kernels.form[matrix->type] == Form::kWords;
    }
  }
  bool any() const { return bytes || words; }
};

// Fills the codes of row `row` of row_count from `values`, f32[width], for begin <= i < end; both are multiples of 32.
void quantize(const Kernels& kernels, const Forms& forms, const Codes& codes, const float* values, uint32_t row, uint32_t row_count, uint32_t begin,
              uint32_t end);

// The rows that weights multiply: values, and the codes that `quantize` made of them where a kernel wants those.
inline Rows rows_of(const float* values, uint64_t stride, uint32_t count, uint32_t width, const Codes& codes) {
  return {values, {codes.bytes.get(), codes.byte_scales.get(), codes.sums.get()}, {codes.words.get(), codes.word_scales.get()}, stride, count, width};
}

// Adds the bytes of `rows` rows of a matrix to the model's counters.
inline void count_weights(Counters& counters, const Matrix& matrix, uint64_t rows) {
  counters.weight_bytes += static_cast<double>(matrix.row_bytes * rows);
}

}  // namespace powerinfer
