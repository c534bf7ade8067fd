// In how many places do a neuron's signs differ from those of a vector, each place weighing what the vector's magnitude there does?
#include "variants.h"

#if POWERINFER_X86
#define TARGET_POPCOUNT __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq")))
#endif

namespace powerinfer {

// The definition: distances[i] = Σ over planes p of 2^p · (bits set in (signs ^ x) & plane p).
void sign_distances_scalar(const SignDistances& op) {
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint8_t* const signs = op.signs + uint64_t{op.first + i} * op.row_bytes;
    uint32_t distance = 0;
    for (uint64_t at = 0; at < op.row_bytes; at += 8) {
      uint64_t row, x;
      std::memcpy(&row, signs + at, 8);
      std::memcpy(&x, op.x_signs + at, 8);
      for (uint32_t p = 0; p < op.plane_count; ++p) {
        uint64_t plane;
        std::memcpy(&plane, op.planes + p * op.row_bytes + at, 8);
        distance += static_cast<uint32_t>(__builtin_popcountll((row ^ x) & plane)) << p;
      }
    }
    op.distances[i] = distance;
  }
}

#if POWERINFER_X86
namespace {

// Bits set in each byte.
TARGET_AVX2 POWERINFER_INLINE __m256i byte_counts(__m256i bytes) {
  const __m256i of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(15);
  return _mm256_add_epi8(_mm256_shuffle_epi8(of_nibble, _mm256_and_si256(bytes, nibble)),
                         _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)));
}

template <uint32_t kPlanes>
TARGET_AVX2 void distances_avx2(const SignDistances& op) {
  constexpr uint64_t kRun = 31 * 32;  // a byte counts 8 at a time
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint8_t* const signs = op.signs + uint64_t{op.first + i} * op.row_bytes;
    __m256i sums = _mm256_setzero_si256();
    for (uint64_t begin = 0; begin < op.row_bytes; begin += kRun) {
      const uint64_t end = op.row_bytes - begin < kRun ? op.row_bytes : begin + kRun;
      __m256i counts[kPlanes];
      FOR_REGISTERS(p, kPlanes) counts[p] = _mm256_setzero_si256();
      for (uint64_t at = begin; at < end; at += 32) {
        const __m256i differ = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(signs + at)),
                                                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(op.x_signs + at)));
        FOR_REGISTERS(p, kPlanes) {
          const __m256i plane = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(op.planes + p * op.row_bytes + at));
          counts[p] = _mm256_add_epi8(counts[p], byte_counts(_mm256_and_si256(differ, plane)));
        }
      }
      FOR_REGISTERS(p, kPlanes) {
        sums = _mm256_add_epi64(sums, _mm256_slli_epi64(_mm256_sad_epu8(counts[p], _mm256_setzero_si256()), static_cast<int>(p)));
      }
    }
    const __m128i halves = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    op.distances[i] = static_cast<uint32_t>(_mm_cvtsi128_si32(halves) + _mm_extract_epi32(halves, 2));
  }
}

}  // namespace

void sign_distances_avx2(const SignDistances& op) {
  if (op.plane_count == 1) return distances_avx2<1>(op);
  if (op.plane_count == 2) return distances_avx2<2>(op);
  distances_avx2<3>(op);
}

// With the population count of AVX-512 VPOPCNTDQ.
TARGET_POPCOUNT void sign_distances_popcount(const SignDistances& op) {
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint8_t* const signs = op.signs + uint64_t{op.first + i} * op.row_bytes;
    __m256i sums = _mm256_setzero_si256();
    for (uint64_t at = 0; at < op.row_bytes; at += 32) {
      const __m256i differ = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(signs + at)),
                                              _mm256_loadu_si256(reinterpret_cast<const __m256i*>(op.x_signs + at)));
      for (uint32_t p = 0; p < op.plane_count; ++p) {
        const __m256i plane = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(op.planes + p * op.row_bytes + at));
        sums = _mm256_add_epi64(sums, _mm256_sll_epi64(_mm256_popcnt_epi64(_mm256_and_si256(differ, plane)), _mm_cvtsi32_si128(static_cast<int>(p))));
      }
    }
    const __m128i halves = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    op.distances[i] = static_cast<uint32_t>(_mm_cvtsi128_si32(halves) + _mm_extract_epi32(halves, 2));
  }
}

#endif

}  // namespace powerinfer
