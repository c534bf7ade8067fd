// The obvious forward pass: one token at a time, in double, one loop after the other. Shares no code with the engine.
#pragma once
#include <vector>

#include "tiny_model.h"

namespace powerinfer_test {

using Doubles = std::vector<double>;

class Oracle {
 public:
  Oracle(const TinyModel& tiny, uint32_t cache_type)
      : tiny_(tiny), s_(tiny.options.shape), cache_type_(cache_type), keys_(s_.block_count), values_(s_.block_count) {}

  // Runs the next token of the sequence; returns its logits.
  Doubles step(uint32_t token);

  // f(gate · x) ⊙ g(up · x + bias) of every neuron.
  Doubles activations(uint32_t block, const Doubles& ffn_input) const;
  // Σ activation · down, without bias. `by_rows`: through DOWN, whose kernels round activations to codes where its type wants that. So do
  // those of a repacked DOWN; by-neuron rows multiply the activations themselves.
  Doubles down(uint32_t block, const Doubles& activations, bool by_rows) const;

  bool sparse = false;              // the FFN reads down by neuron
  bool rounds = true;               // activations, to the codes that the CPU multiplies with some types
  std::vector<Doubles> ffn_inputs;  // [block], of the last step

 private:
  Doubles multiply(uint32_t role, uint32_t block, const Doubles& x, uint32_t bias_role) const;
  Doubles norm(const Doubles& x, uint32_t role, uint32_t bias_role, uint32_t block) const;
  void finish_head(double* head, uint32_t norm_role, uint32_t block) const;
  Doubles attention(uint32_t block, const Doubles& x);
  // One position's keys or values, as the cache rounds them.
  Doubles cached(Doubles values) const;

  const TinyModel& tiny_;
  const powerinfer_model_shape& s_;
  const uint32_t cache_type_;
  uint32_t position_ = 0;
  std::vector<std::vector<Doubles>> keys_, values_;  // [block][position][kv_width]
};

}  // namespace powerinfer_test
