// Does a plan say what the CPU alone says?
#include "agreement.h"

#include <algorithm>
#include <cmath>

namespace powerinfer_check {
namespace {

double standard_deviation(const std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
  }
  const double count = static_cast<double>(values.size()), mean = sum / count;
  return std::sqrt(squares / count - mean * mean);
}

}  // namespace

uint32_t most_likely(const std::vector<float>& logits) {
  return static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void Agreement::compare(const Reference& reference, uint32_t step, const std::vector<float>& logits) {
  const std::vector<float>& expected = reference.logits[step];
  const double spread = standard_deviation(expected);
  double squares = 0;
  for (uint32_t i = 0; i < expected.size(); ++i) squares += (double{logits[i]} - expected[i]) * (double{logits[i]} - expected[i]);
  const double error = std::sqrt(squares / static_cast<double>(expected.size())) / spread;
  logit_error = error <= logit_error ? logit_error : error;  // a NaN counts
  const uint32_t chosen = most_likely(logits), wanted = reference.tokens[step + 1];
  ++token_count;
  if (chosen == wanted) ++equal_count;
  else if ((expected[wanted] - expected[chosen]) / spread <= 4 * tolerance) ++near_tie_count;
}

}  // namespace powerinfer_check
