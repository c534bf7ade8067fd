// Which shape must a tensor have, and what is it called?
#include "tensor_shape.h"

#include <cstdio>

#include "error.h"

namespace powerinfer {
namespace {

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

// Tensors that a model of this shape would silently ignore.
void check_wanted(const powerinfer_model_shape& shape, uint32_t role) {
  if (role == POWERINFER_GATE && !shape.gated) fail(POWERINFER_INVALID_ARGUMENT, "the model is not gated");
  const bool norm_bias = role == POWERINFER_OUTPUT_NORM_BIAS || role == POWERINFER_ATTENTION_NORM_BIAS || role == POWERINFER_FFN_NORM_BIAS;
  if (norm_bias && shape.norm == POWERINFER_NORM_RMS) fail(POWERINFER_INVALID_ARGUMENT, "an RMS norm has no bias");
}

}  // namespace

TensorShape tensor_shape(const powerinfer_model_shape& s, uint32_t role) {
  const uint32_t q_width = s.head_count * s.head_width, kv_width = s.kv_head_count * s.head_width;
  switch (role) {
    case POWERINFER_TOKEN_EMBEDDING: return {s.hidden_width, s.vocabulary_size};
    case POWERINFER_POSITION_EMBEDDING: return {s.hidden_width, kAnyRows};
    case POWERINFER_OUTPUT: return {s.hidden_width, s.vocabulary_size};
    case POWERINFER_OUTPUT_BIAS: return {s.vocabulary_size, 1};
    case POWERINFER_Q: return {s.hidden_width, q_width};
    case POWERINFER_Q_BIAS: return {q_width, 1};
    case POWERINFER_K:
    case POWERINFER_V: return {s.hidden_width, kv_width};
    case POWERINFER_K_BIAS:
    case POWERINFER_V_BIAS: return {kv_width, 1};
    case POWERINFER_Q_NORM:
    case POWERINFER_K_NORM: return {s.head_width, 1};
    case POWERINFER_ATTENTION_OUTPUT: return {q_width, s.hidden_width};
    case POWERINFER_GATE:
    case POWERINFER_UP:
    case POWERINFER_DOWN_BY_NEURON: return {s.hidden_width, s.ffn_width};
    case POWERINFER_UP_BIAS: return {s.ffn_width, 1};
    case POWERINFER_DOWN:
    case POWERINFER_DOWN_REPACKED: return {s.ffn_width, s.hidden_width};
    case POWERINFER_OUTPUT_NORM:
    case POWERINFER_OUTPUT_NORM_BIAS:
    case POWERINFER_ATTENTION_NORM:
    case POWERINFER_ATTENTION_NORM_BIAS:
    case POWERINFER_ATTENTION_OUTPUT_BIAS:
    case POWERINFER_FFN_NORM:
    case POWERINFER_FFN_NORM_BIAS:
    case POWERINFER_DOWN_BIAS: return {s.hidden_width, 1};
    default: fail(POWERINFER_INVALID_ARGUMENT, "no tensor has role %u", role);
  }
}

void check_tensor(const powerinfer_model_shape& s, uint32_t role, uint32_t width, uint32_t rows) {
  const TensorShape shape = tensor_shape(s, role);
  check_wanted(s, role);
  if (width == shape.width && rows != 0 && (shape.rows == kAnyRows || rows == shape.rows)) return;
  if (shape.rows == kAnyRows) fail(POWERINFER_INVALID_ARGUMENT, "its shape is [%u, %u], the model needs [%u, any]", width, rows, shape.width);
  fail(POWERINFER_INVALID_ARGUMENT, "its shape is [%u, %u], the model needs [%u, %u]", width, rows, shape.width, shape.rows);
}

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

}  // namespace powerinfer
