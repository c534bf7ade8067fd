// Which tensor goes where, and does it fit?
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "error.h"
#include "machine.h"
#include "model.h"
#include "repack.h"

namespace powerinfer {
namespace {

// Where a role is kept in the model, as a matrix or a vector, and the shape it must have.
struct Slot {
  Matrix* matrix;
  Vector* vector;
  TensorShape shape;
};

Slot slot_of(Model& model, uint32_t role, uint32_t block) {
  const TensorShape shape = tensor_shape(model.shape, role);
  Block& b = model.blocks[role < kFirstBlockRole ? 0 : block];
  const auto matrix = [&](Matrix& m) { return Slot{&m, nullptr, shape}; };
  const auto vector = [&](Vector& v) { return Slot{nullptr, &v, shape}; };
  switch (role) {
    case POWERINFER_TOKEN_EMBEDDING: return matrix(model.token_embedding);
    case POWERINFER_POSITION_EMBEDDING: return matrix(model.position_embedding);
    case POWERINFER_OUTPUT_NORM: return vector(model.output_norm);
    case POWERINFER_OUTPUT_NORM_BIAS: return vector(model.output_norm_bias);
    case POWERINFER_OUTPUT: return matrix(model.output);
    case POWERINFER_OUTPUT_BIAS: return vector(model.output_bias);
    case POWERINFER_ATTENTION_NORM: return vector(b.attention_norm);
    case POWERINFER_ATTENTION_NORM_BIAS: return vector(b.attention_norm_bias);
    case POWERINFER_Q: return matrix(b.q);
    case POWERINFER_Q_BIAS: return vector(b.q_bias);
    case POWERINFER_K: return matrix(b.k);
    case POWERINFER_K_BIAS: return vector(b.k_bias);
    case POWERINFER_V: return matrix(b.v);
    case POWERINFER_V_BIAS: return vector(b.v_bias);
    case POWERINFER_Q_NORM: return vector(b.q_norm);
    case POWERINFER_K_NORM: return vector(b.k_norm);
    case POWERINFER_ATTENTION_OUTPUT: return matrix(b.attention_output);
    case POWERINFER_ATTENTION_OUTPUT_BIAS: return vector(b.attention_output_bias);
    case POWERINFER_FFN_NORM: return vector(b.ffn_norm);
    case POWERINFER_FFN_NORM_BIAS: return vector(b.ffn_norm_bias);
    case POWERINFER_GATE: return matrix(b.gate);
    case POWERINFER_UP: return matrix(b.up);
    case POWERINFER_UP_BIAS: return vector(b.up_bias);
    case POWERINFER_DOWN: return matrix(b.down);
    case POWERINFER_DOWN_BIAS: return vector(b.down_bias);
    case POWERINFER_DOWN_BY_NEURON: return matrix(b.down_by_neuron);
    case POWERINFER_DOWN_REPACKED: return matrix(b.down_repacked);
    default: fail(POWERINFER_INVALID_ARGUMENT, "no tensor has role %u", role);
  }
}

bool has_kernel(const Kernels& kernels, uint32_t role, uint32_t type) {
  if (type >= kFileTypeCount) return false;
  if (role == POWERINFER_DOWN_BY_NEURON) return kernels.accumulate[type] != nullptr;
  if (role == POWERINFER_DOWN_REPACKED) return kernels.accumulate_repacked[type] != nullptr;
  return kernels.matmul[type] != nullptr && kernels.dequantize[type] != nullptr;
}

// A repacked matrix has rows only where repacking was a plain transposition.
uint64_t repacked_row_bytes(uint32_t type, uint32_t hidden_width) {
  const RepackedLayout layout = repacked_layout(type, hidden_width);
  return layout.block_neurons == 1 ? layout.code_row_bytes : 0;
}

}  // namespace

void bind_tensor(Model& model, uint32_t role, uint32_t block, const TensorSource& source) {
  if (role >= kFirstBlockRole && block >= model.shape.block_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "the model has %u blocks", model.shape.block_count);
  }
  const Slot slot = slot_of(model, role, block);
  check_tensor(model.shape, role, source.width, source.rows);
  const Kernels& kernels = model.cpu->kernels;
  if (!has_kernel(kernels, role, source.type)) fail(POWERINFER_UNSUPPORTED, "no kernel reads tensor type %u", source.type);

  const bool repacked = role == POWERINFER_DOWN_REPACKED;
  const uint64_t bytes_of_row = row_bytes(source.type, source.width);
  // No overflow: width is at most 2^24 (limits.h), so a row is below 2^27 bytes, and rows below 2^32.
  const uint64_t size_bytes =
      repacked ? repacked_down_bytes(source.type, model.shape.hidden_width, model.shape.ffn_width) : bytes_of_row * source.rows;
  if (bytes_of_row == 0 || size_bytes == 0) {
    fail(POWERINFER_INVALID_ARGUMENT, "rows of %u weights are not whole blocks of tensor type %u", source.width, source.type);
  }
  const uint8_t* const bytes = source.file->tensor(source.offset_bytes, size_bytes);
  if (slot.vector != nullptr) {
    Vector values(source.width);
    kernels.dequantize[source.type](bytes, values.data(), source.width);
    *slot.vector = std::move(values);
  } else {
    const uint64_t stride = repacked ? repacked_row_bytes(source.type, model.shape.hidden_width) : bytes_of_row;
    *slot.matrix = {bytes, stride, source.type, source.width, source.rows, source.file, nullptr, false};
  }
}

void make_resident(Model& model, uint32_t role, uint32_t block, bool panels) {
  if (role >= kFirstBlockRole && block >= model.shape.block_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "the model has %u blocks", model.shape.block_count);
  }
  Matrix* const matrix = slot_of(model, role, block).matrix;
  if (matrix == nullptr) fail(POWERINFER_INVALID_ARGUMENT, "it is a vector, which is in memory anyway");
  if (!matrix->bound()) fail(POWERINFER_INVALID_ARGUMENT, "it is not bound");
  if (matrix->resident) return;
  ThreadPool& pool = model.cpu->pool;
  const bool repacked = role == POWERINFER_DOWN_REPACKED;
  if (panels && !repacked && model.cpu->kernels.reads_panels && has_panels(matrix->type)) {
    const uint64_t size_bytes = panels_bytes(matrix->row_bytes, matrix->rows);
    require_memory(size_bytes, "the panels");
    uint8_t* const copy = model.resident.take(size_bytes);
    write_panels(pool, matrix->type, matrix->bytes, matrix->row_bytes, matrix->rows, copy);
    matrix->file->forget(matrix->bytes, matrix->row_bytes * matrix->rows);
    matrix->panels = copy;
    matrix->resident = true;
    return;
  }
  const uint64_t size_bytes = repacked ? repacked_down_bytes(matrix->type, model.shape.hidden_width, model.shape.ffn_width)
                                       : matrix->row_bytes * matrix->rows;
  require_memory(size_bytes, "the copy");
  uint8_t* const copy = model.resident.take(size_bytes);
  constexpr uint64_t kChunkBytes = 1u << 20;
  pool.for_each(static_cast<uint32_t>((size_bytes + kChunkBytes - 1) / kChunkBytes), [&](uint32_t chunk, uint32_t) {
    const uint64_t at = chunk * kChunkBytes;
    std::memcpy(copy + at, matrix->bytes + at, std::min(kChunkBytes, size_bytes - at));
  });
  matrix->file->forget(matrix->bytes, size_bytes);
  matrix->bytes = copy;
  matrix->resident = true;
}

}  // namespace powerinfer
