// A step of AdamW on a run of parameters: bound by the four arrays that it reads and the three that it writes.
#include <cmath>

#include "variants.h"

namespace powerinfer {

void adamw_scalar(const AdamW& s) {
  for (uint64_t i = 0; i < s.count; ++i) {
    const float g = s.gradient[i];
    s.means[i] = s.beta1 * s.means[i] + (1 - s.beta1) * g;
    s.squares[i] = s.beta2 * s.squares[i] + (1 - s.beta2) * g * g;
    const float step = s.means[i] * s.mean_scale / (std::sqrt(s.squares[i] * s.square_scale) + s.epsilon);
    s.parameters[i] -= s.rate * (step + s.decay * s.parameters[i]);
  }
}

#if POWERINFER_X86
namespace {

// What is left when whole vectors are done.
void rest(const AdamW& s, uint64_t done) {
  AdamW left = s;
  left.parameters += done, left.gradient += done, left.means += done, left.squares += done, left.count -= done;
  adamw_scalar(left);
}

}  // namespace

TARGET_AVX2 void adamw_avx2(const AdamW& s) {
  const __m256 beta1 = _mm256_set1_ps(s.beta1), beta2 = _mm256_set1_ps(s.beta2), new1 = _mm256_set1_ps(1 - s.beta1), new2 = _mm256_set1_ps(1 - s.beta2);
  const __m256 epsilon = _mm256_set1_ps(s.epsilon), decay = _mm256_set1_ps(s.decay), rate = _mm256_set1_ps(s.rate);
  const __m256 mean_scale = _mm256_set1_ps(s.mean_scale), square_scale = _mm256_set1_ps(s.square_scale);
  uint64_t i = 0;
  for (; i + 8 <= s.count; i += 8) {
    const __m256 g = _mm256_loadu_ps(s.gradient + i), p = _mm256_loadu_ps(s.parameters + i);
    const __m256 m = _mm256_fmadd_ps(beta1, _mm256_loadu_ps(s.means + i), _mm256_mul_ps(new1, g));
    const __m256 v = _mm256_fmadd_ps(beta2, _mm256_loadu_ps(s.squares + i), _mm256_mul_ps(_mm256_mul_ps(new2, g), g));
    _mm256_storeu_ps(s.means + i, m);
    _mm256_storeu_ps(s.squares + i, v);
    const __m256 root = _mm256_add_ps(_mm256_sqrt_ps(_mm256_mul_ps(v, square_scale)), epsilon);
    const __m256 step = _mm256_fmadd_ps(decay, p, _mm256_div_ps(_mm256_mul_ps(m, mean_scale), root));
    _mm256_storeu_ps(s.parameters + i, _mm256_fnmadd_ps(rate, step, p));
  }
  rest(s, i);
}

TARGET_AVX512 void adamw_avx512(const AdamW& s) {
  const __m512 beta1 = _mm512_set1_ps(s.beta1), beta2 = _mm512_set1_ps(s.beta2), new1 = _mm512_set1_ps(1 - s.beta1), new2 = _mm512_set1_ps(1 - s.beta2);
  const __m512 epsilon = _mm512_set1_ps(s.epsilon), decay = _mm512_set1_ps(s.decay), rate = _mm512_set1_ps(s.rate);
  const __m512 mean_scale = _mm512_set1_ps(s.mean_scale), square_scale = _mm512_set1_ps(s.square_scale);
  uint64_t i = 0;
  for (; i + 16 <= s.count; i += 16) {
    const __m512 g = _mm512_loadu_ps(s.gradient + i), p = _mm512_loadu_ps(s.parameters + i);
    const __m512 m = _mm512_fmadd_ps(beta1, _mm512_loadu_ps(s.means + i), _mm512_mul_ps(new1, g));
    const __m512 v = _mm512_fmadd_ps(beta2, _mm512_loadu_ps(s.squares + i), _mm512_mul_ps(_mm512_mul_ps(new2, g), g));
    _mm512_storeu_ps(s.means + i, m);
    _mm512_storeu_ps(s.squares + i, v);
    const __m512 root = _mm512_add_ps(_mm512_sqrt_ps(_mm512_mul_ps(v, square_scale)), epsilon);
    const __m512 step = _mm512_fmadd_ps(decay, p, _mm512_div_ps(_mm512_mul_ps(m, mean_scale), root));
    _mm512_storeu_ps(s.parameters + i, _mm512_fnmadd_ps(rate, step, p));
  }
  rest(s, i);
}
#endif

}  // namespace powerinfer
