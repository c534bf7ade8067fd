// Does a plan say what the CPU alone says?
//
// Every plan is fed the tokens that the CPU chose, and its logits are compared with the CPU's after each of them. Devices round differently (the CPU
// multiplies 8-bit codes of activations where weights have four bits), so two tokens that are equally likely for the CPU may change places; nothing else may.
#pragma once
#include <cstdint>
#include <vector>

namespace powerinfer_check {

// What the CPU alone said: its logits after each token, and the token it chose by them, the first of the most likely ones.
struct Reference {
  std::vector<uint32_t> tokens;             // [count + 1]; tokens[0] is given
  std::vector<std::vector<float>> logits;  // [count]
};

uint32_t most_likely(const std::vector<float>& logits);

struct Agreement {
  double tolerance = 0;         // of logit_error: what may be rounding
  uint32_t token_count = 0;
  uint32_t equal_count = 0;     // the same token is the most likely one
  uint32_t near_tie_count = 0;  // another one, whose logit the CPU has within four tolerances of the most likely one's
  double logit_error = 0;       // of the worst token: root mean square difference of its logits, over the standard deviation of the CPU's

  void compare(const Reference& reference, uint32_t step, const std::vector<float>& logits);
  bool holds() const { return token_count > 0 && equal_count + near_tie_count == token_count && logit_error <= tolerance; }
};

}  // namespace powerinfer_check
