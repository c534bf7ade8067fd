// The stages of a batch, in the order a model runs them. Arguments were checked in abi_batch.cc; the cpu is locked.
#pragma once
#include <cstdint>

#include "model.h"

namespace powerinfer {

// residual[r] = embedding of row r (+ its learned position); also the rope angles of every row. Begins the batch.
void embed(Model& model);

// residual += attention(norm(residual)); ffn_input = norm(residual), which is copied to `hidden` f32[row_count, hidden_width] unless null.
// Reads and writes the caches in batch.held.
void attend(Model& model, uint32_t block, float* hidden);

// attended = softmax(q · k) · v of every row and head, over the positions that it sees in its cache of batch.held.
void attend_cache(Model& model, uint32_t block);

// A part of a block's FFN; see powerinfer_ffn.
struct Ffn {
  const float* hidden;     // f32[row_count, hidden_width]
  uint32_t row_count;
  const uint32_t* active;  // u32[row_count, ceil(ffn_width / 32)], or null: every neuron
  bool confirm;            // drop neurons at or below the block's thresholds
  float* partial;          // f32[row_count, hidden_width], written
};
// Every neuron: gate and up, then down by rows, or by neurons where only that is bound.
void ffn_dense(Model& model, uint32_t block, const Ffn& ffn);
// Candidates only; needs down_by_neuron or down_repacked.
void ffn_sparse(Model& model, uint32_t block, const Ffn& ffn);

// The first half of the dense FFN: f(gate · x) ⊙ g(up · x) of every neuron to `activation` f32[row_count, ffn_width].
// `codes`, where not null, receives the activations in the forms that DOWN wants.
void activate_neurons(Model& model, uint32_t block, const float* hidden, uint32_t row_count, float* activation, const Codes* codes);
// The second half by rows: partial[r] = down · activation[r], over every neuron.
void multiply_down(Model& model, const Matrix& down, uint32_t row_count, float* partial);
// The second half by neuron: partial[r] = Σ over the first `neuron_count` of workspace.neurons of activation[r][n] · down[n].
void add_neurons(Model& model, uint32_t block, uint32_t neuron_count, uint32_t row_count, float* partial);

// residual += partial (+ bias, f32[hidden_width] or null).
void merge(Model& model, const float* partial, const float* bias);

// Logits of rows[i], i < count, to f32[count, vocabulary_size].
void logits(Model& model, const uint32_t* rows, uint32_t count, float* out);

// What the FFN's input was before its norm, until merge: f32[row_count, hidden_width].
inline const float* ffn_residual(const Model& model) {
  return (model.shape.parallel ? model.workspace.block_input : model.workspace.residual).get();
}

// The norm the model uses, of one row.
inline void norm_row(const Model& model, const float* x, const Vector& weight, const Vector& bias, float* out) {
  const Kernels& kernels = model.cpu->kernels;
  const NormKernel norm = model.shape.norm == POWERINFER_NORM_RMS ? kernels.rms_norm : kernels.layer_norm;
  norm(x, weight.data(), or_null(bias), model.shape.norm_epsilon, model.shape.hidden_width, out);
}

}  // namespace powerinfer
