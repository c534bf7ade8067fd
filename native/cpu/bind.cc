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

constexpr uint32_t kFirstBlockRole = POWERINFER_ATTENTION_NORM;
constexpr uint32_t kAnyRows = 0;

// Where a role is kept in the model: a matrix or a vector, and the shape it must have.
struct Slot {
  Matrix* matrix;
  Vector* vector;
  uint32_t width;
  uint32_t rows;  // kAnyRows: free
};

const char* role_name(uint32_t role) {
  switch (role) {
    case POWERINFER_TOKEN_EMBEDDING: return "token_embedding";
    case POWERINFER_POSITION_EMBEDDING: return "position_embedding";
    case POWERINFER_OUTPUT_NORM: return "output_norm";
    case POWERINFER_OUTPUT_NORM_BIAS: return "output_norm_bias";
    case POWERINFER_OUTPUT: return "output";
    case POWERINFER_OUTPUT_BIAS: return "output_bias";
    case POWERINFER_ROPE_FREQUENCIES: return "rope_frequencies";
    case POWERINFER_ATTENTION_NORM: return "attention_norm";
    case POWERINFER_ATTENTION_NORM_BIAS: return "attention_norm_bias";
    case POWERINFER_Q: return "q";
    case POWERINFER_Q_BIAS: return "q_bias";
    case POWERINFER_K: return "k";
    case POWERINFER_K_BIAS: return "k_bias";
    case POWERINFER_V: return "v";
    case POWERINFER_V_BIAS: return "v_bias";
    case POWERINFER_Q_NORM: return "q_norm";
    case POWERINFER_K_NORM: return "k_norm";
    case POWERINFER_ATTENTION_OUTPUT: return "attention_output";
    case POWERINFER_ATTENTION_OUTPUT_BIAS: return "attention_output_bias";
    case POWERINFER_FFN_NORM: return "ffn_norm";
    case POWERINFER_FFN_NORM_BIAS: return "ffn_norm_bias";
    case POWERINFER_GATE: return "gate";
    case POWERINFER_UP: return "up";
    case POWERINFER_UP_BIAS: return "up_bias";
    case POWERINFER_DOWN: return "down";
    case POWERINFER_DOWN_BIAS: return "down_bias";
    case POWERINFER_DOWN_BY_NEURON: return "down_by_neuron";
    case POWERINFER_DOWN_REPACKED: return "down_repacked";
    default: return nullptr;
  }
}

Slot slot_of(Model& model, uint32_t role, uint32_t block) {
  const powerinfer_model_shape& s = model.shape;
  Block& b = model.blocks[role < kFirstBlockRole ? 0 : block];
  const auto matrix = [](Matrix& m, uint32_t width, uint32_t rows) { return Slot{&m, nullptr, width, rows}; };
  const auto vector = [](Vector& v, uint32_t width) { return Slot{nullptr, &v, width, 1}; };
  switch (role) {
    case POWERINFER_TOKEN_EMBEDDING: return matrix(model.token_embedding, s.hidden_width, s.vocabulary_size);
    case POWERINFER_POSITION_EMBEDDING: return matrix(model.position_embedding, s.hidden_width, kAnyRows);
    case POWERINFER_OUTPUT_NORM: return vector(model.output_norm, s.hidden_width);
    case POWERINFER_OUTPUT_NORM_BIAS: return vector(model.output_norm_bias, s.hidden_width);
    case POWERINFER_OUTPUT: return matrix(model.output, s.hidden_width, s.vocabulary_size);
    case POWERINFER_OUTPUT_BIAS: return vector(model.output_bias, s.vocabulary_size);
    case POWERINFER_ATTENTION_NORM: return vector(b.attention_norm, s.hidden_width);
    case POWERINFER_ATTENTION_NORM_BIAS: return vector(b.attention_norm_bias, s.hidden_width);
    case POWERINFER_Q: return matrix(b.q, s.hidden_width, model.q_width());
    case POWERINFER_Q_BIAS: return vector(b.q_bias, model.q_width());
    case POWERINFER_K: return matrix(b.k, s.hidden_width, model.kv_width());
    case POWERINFER_K_BIAS: return vector(b.k_bias, model.kv_width());
    case POWERINFER_V: return matrix(b.v, s.hidden_width, model.kv_width());
    case POWERINFER_V_BIAS: return vector(b.v_bias, model.kv_width());
    case POWERINFER_Q_NORM: return vector(b.q_norm, s.head_width);
    case POWERINFER_K_NORM: return vector(b.k_norm, s.head_width);
    case POWERINFER_ATTENTION_OUTPUT: return matrix(b.attention_output, model.q_width(), s.hidden_width);
    case POWERINFER_ATTENTION_OUTPUT_BIAS: return vector(b.attention_output_bias, s.hidden_width);
    case POWERINFER_FFN_NORM: return vector(b.ffn_norm, s.hidden_width);
    case POWERINFER_FFN_NORM_BIAS: return vector(b.ffn_norm_bias, s.hidden_width);
    case POWERINFER_GATE: return matrix(b.gate, s.hidden_width, s.ffn_width);
    case POWERINFER_UP: return matrix(b.up, s.hidden_width, s.ffn_width);
    case POWERINFER_UP_BIAS: return vector(b.up_bias, s.ffn_width);
    case POWERINFER_DOWN: return matrix(b.down, s.ffn_width, s.hidden_width);
    case POWERINFER_DOWN_BIAS: return vector(b.down_bias, s.hidden_width);
    case POWERINFER_DOWN_BY_NEURON: return matrix(b.down_by_neuron, s.hidden_width, s.ffn_width);
    case POWERINFER_DOWN_REPACKED: return matrix(b.down_repacked, s.ffn_width, s.hidden_width);
    default: fail(POWERINFER_INVALID_ARGUMENT, "no tensor has role %u", role);
  }
}

// Tensors that a model of this shape would silently ignore.
void check_wanted(const powerinfer_model_shape& shape, uint32_t role) {
  if (role == POWERINFER_GATE && !shape.gated) fail(POWERINFER_INVALID_ARGUMENT, "the model is not gated");
  const bool norm_bias = role == POWERINFER_OUTPUT_NORM_BIAS || role == POWERINFER_ATTENTION_NORM_BIAS || role == POWERINFER_FFN_NORM_BIAS;
  if (norm_bias && shape.norm == POWERINFER_NORM_RMS) fail(POWERINFER_INVALID_ARGUMENT, "an RMS norm has no bias");
}

bool has_kernel(const Kernels& kernels, uint32_t role, uint32_t type) {
  if (type >= kTypeCount) return false;
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

void describe_tensor(uint32_t role, uint32_t block, char* name, uint64_t capacity) {
  const char* const known = role_name(role);
  if (known == nullptr) {
    std::snprintf(name, capacity, "a tensor of role %u", role);
  } else if (role < kFirstBlockRole) {
    std::snprintf(name, capacity, "%s", known);
  } else {
    std::snprintf(name, capacity, "blk.%u %s", block, known);
  }
}

void bind_tensor(Model& model, uint32_t role, uint32_t block, const TensorSource& source) {
  if (role >= kFirstBlockRole && block >= model.shape.block_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "the model has %u blocks", model.shape.block_count);
  }
  const Slot slot = slot_of(model, role, block);
  check_wanted(model.shape, role);
  if (source.width != slot.width || source.rows == 0 || (slot.rows != kAnyRows && source.rows != slot.rows)) {
    if (slot.rows == kAnyRows) {
      fail(POWERINFER_INVALID_ARGUMENT, "its shape is [%u, %u], the model needs [%u, any]", source.width, source.rows, slot.width);
    }
    fail(POWERINFER_INVALID_ARGUMENT, "its shape is [%u, %u], the model needs [%u, %u]", source.width, source.rows, slot.width, slot.rows);
  }
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
  const uint64_t file_bytes = source.file->size_bytes();
  if (source.offset_bytes > file_bytes || size_bytes > file_bytes - source.offset_bytes) {
    fail(POWERINFER_INVALID_ARGUMENT, "the tensor needs %.0f bytes at offset %.0f, the file has %.0f", static_cast<double>(size_bytes),
         static_cast<double>(source.offset_bytes), static_cast<double>(file_bytes));
  }

  const uint8_t* const bytes = source.file->bytes() + source.offset_bytes;
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
