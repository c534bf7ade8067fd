// Adds what active neurons contribute to every column, from the grouped layout of repack.h.
#include "repacked_group.h"
#include "variants.h"
#include "wanted.h"

namespace powerinfer {

namespace {

constexpr uint32_t kStepColumns = 256;

// The listed neurons of one group.
struct GroupNeurons {
  uint32_t group;
  uint32_t first, length;  // in op.neurons

  template <class Block>
  static GroupNeurons at(const Accumulate& op, uint32_t first) {
    const uint32_t group = op.neurons[first] / Block::kGroup;
    uint32_t length = 1;
    while (first + length < op.neuron_count && op.neurons[first + length] / Block::kGroup == group) ++length;
    return {group, first, length};
  }
};

// Asks for what a step will read: short pieces far apart, which the hardware cannot foresee.
template <class Block>
void prefetch_step(const Accumulate& op, const RepackedLayout& layout, const GroupNeurons& some, uint32_t begin, uint32_t end) {
  constexpr uint32_t kScaleBytes = Repacked<Block>::kScaleIsF16 ? 2 : 4, kCodesPerByte = Repacked<Block>::kPacked ? 2 : 1;
  const RepackedGroup group(layout, op.down, some.group);
  const auto prefetch = [](const uint8_t* from, const uint8_t* to) {
    for (; from < to; from += 64) __builtin_prefetch(from);
  };
  prefetch(group.scales + begin * kScaleBytes, group.scales + end * kScaleBytes);
  if constexpr (Block::kHasOffset) prefetch(group.offsets + begin * kScaleBytes, group.offsets + end * kScaleBytes);
  for (uint32_t k = 0; k < some.length; ++k) {
    const uint8_t* codes = group.codes + op.neurons[some.first + k] % Block::kGroup * layout.code_row_bytes;
    prefetch(codes + begin / kCodesPerByte, codes + end / kCodesPerByte);
  }
}

// Calls add(group, wanted, row, begin, end) for every group of neurons that share scales, every step of columns and every row that wants
// some of it.
template <class Block, class Add>
void for_each_group(const Accumulate& op, Add&& add) {
  static_assert(Block::kGroup <= kWantedMax);
  if (op.neuron_count == 0) return;
  const RepackedLayout layout = Repacked<Block>::layout(op.hidden_width);
  const auto end_of = [&](uint32_t begin) { return op.column_end - begin < kStepColumns ? op.column_end : begin + kStepColumns; };
  GroupNeurons some = GroupNeurons::at<Block>(op, 0);
  for (;;) {
    const uint32_t next_first = some.first + some.length;
    const bool is_last = next_first == op.neuron_count;
    const GroupNeurons next = is_last ? some : GroupNeurons::at<Block>(op, next_first);
    for (uint32_t begin = op.column_begin; begin < op.column_end; begin = end_of(begin)) {
      const uint32_t end = end_of(begin);
      if (end < op.column_end) prefetch_step<Block>(op, layout, some, end, end_of(end));
      else if (!is_last) prefetch_step<Block>(op, layout, next, op.column_begin, end_of(op.column_begin));
      for (uint32_t row = 0; row < op.row_count; ++row) {
        const Wanted wanted(op, row, some.first, some.length);
        if (wanted.count != 0) add(RepackedGroup(layout, op.down, some.group), wanted, row, begin, end);
      }
    }
    if (is_last) return;
    some = next;
  }
}

}  // namespace

// The definition: within a group Σ activation · code in f32, neurons ascending, then once per group
//   out += scale · Σ activation · code  +  offset · Σ activation
// Every other variant may differ from it by rounding only.
template <class Block>
void accumulate_repacked_scalar(const Accumulate& op) {
  const uint64_t code_row_bytes = Repacked<Block>::layout(op.hidden_width).code_row_bytes;
  for_each_group<Block>(op, [&](const RepackedGroup& group, const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    float* out = op.out + row * op.out_stride;
    float total = 0;
    for (uint32_t k = 0; k < wanted.count; ++k) total += wanted.scales[k];
    for (uint32_t c = begin; c < end; ++c) {
      float sum = 0;
      for (uint32_t k = 0; k < wanted.count; ++k) {
        const uint8_t* codes = group.codes + wanted.neurons[k] % Block::kGroup * code_row_bytes;
        sum += wanted.scales[k] * static_cast<float>(Repacked<Block>::code(codes, c));
      }
      out[c] += Repacked<Block>::scale(group.scales, c) * sum;
      if constexpr (Block::kHasOffset) out[c] += Repacked<Block>::scale(group.offsets, c) * total;
    }
  });
}

#if POWERINFER_X86
namespace {

float sum_of_scales(const Wanted& wanted) {
  float total = 0;
  for (uint32_t k = 0; k < wanted.count; ++k) total += wanted.scales[k];
  return total;
}

template <class Block>
struct Avx2 {
  TARGET_AVX2 static __m256 load_scales(const uint8_t* row, uint32_t c) {
    if constexpr (Repacked<Block>::kScaleIsF16) return ElementF16::load8(row, c);
    else return ElementF32::load8(row, c);
  }

  // 32 columns from c on; those past `end` are computed from the padding and dropped.
  TARGET_AVX2 static void add(const RepackedGroup& group, uint64_t code_row_bytes, const Wanted& wanted, float total, float* out, uint32_t c,
                              uint32_t end) {
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    for (uint32_t k = 0; k < wanted.count; ++k) {
      const uint8_t* row = group.codes + wanted.neurons[k] % Block::kGroup * code_row_bytes;
      const __m256 scale = _mm256_set1_ps(wanted.scales[k]);
      __m128i halves[2];
      if constexpr (Repacked<Block>::kPacked) {
        const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + c / 2)), nibble = _mm_set1_epi8(15);
        const __m128i zero = _mm_set1_epi8(Repacked<Block>::kNibbleZero);
        halves[0] = _mm_sub_epi8(_mm_and_si128(packed, nibble), zero);
        halves[1] = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(packed, 4), nibble), zero);
      } else {
        halves[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + c));
        halves[1] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + c + 16));
      }
      FOR_REGISTERS(i, 4) {
        const __m128i eight = i % 2 ? _mm_srli_si128(halves[i / 2], 8) : halves[i / 2];
        sums[i] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)), sums[i]);
      }
    }
    alignas(32) float added[32];
    FOR_REGISTERS(i, 4) {
      __m256 sum = _mm256_mul_ps(load_scales(group.scales, c + 8 * i), sums[i]);
      if constexpr (Block::kHasOffset) sum = _mm256_fmadd_ps(load_scales(group.offsets, c + 8 * i), _mm256_set1_ps(total), sum);
      _mm256_store_ps(added + 8 * i, sum);
    }
    for (uint32_t i = 0; i < 32 && c + i < end; ++i) out[c + i] += added[i];
  }
};

template <class Block>
struct Avx512 {
  TARGET_AVX512 static __m512 load_scales(const uint8_t* row, uint32_t c) {
    if constexpr (Repacked<Block>::kScaleIsF16) return ElementF16::load16(0xffff, row, c);
    else return ElementF32::load16(0xffff, row, c);
  }

  // 32 · kUnits columns from c on; those past `end` are computed from the padding and dropped.
  template <uint32_t kUnits>
  TARGET_AVX512 static void add(const RepackedGroup& group, uint64_t code_row_bytes, const Wanted& wanted, float total, float* out, uint32_t c,
                                uint32_t end) {
    constexpr float kZero = Repacked<Block>::kNibbleZero;
    const __m512 codes_of_nibbles = _mm512_sub_ps(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_ps(kZero));
    __m512 sums[2 * kUnits];
    FOR_REGISTERS(n, 2 * kUnits) sums[n] = _mm512_setzero_ps();
    for (uint32_t k = 0; k < wanted.count; ++k) {
      const uint8_t* row = group.codes + wanted.neurons[k] % Block::kGroup * code_row_bytes;
      const __m512 scale = _mm512_set1_ps(wanted.scales[k]);
      FOR_REGISTERS(u, kUnits) {
        if constexpr (Repacked<Block>::kPacked) {
          // A permutation looks at the low four bits of its indices only: it is a table of the sixteen codes.
          const __m512i nibbles = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + c / 2 + 16 * u)));
          sums[2 * u] = _mm512_fmadd_ps(scale, _mm512_permutexvar_ps(nibbles, codes_of_nibbles), sums[2 * u]);
          sums[2 * u + 1] = _mm512_fmadd_ps(scale, _mm512_permutexvar_ps(_mm512_srli_epi32(nibbles, 4), codes_of_nibbles), sums[2 * u + 1]);
        } else {
          for (uint32_t i = 2 * u; i < 2 * u + 2; ++i) {
            const __m512i codes = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + c + 16 * i)));
            sums[i] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(codes), sums[i]);
          }
        }
      }
    }
    for (uint32_t i = 0; i < 2 * kUnits && c + 16 * i < end; ++i) {
      const uint32_t column = c + 16 * i;
      const __mmask16 mask = first_lanes(end - column);
      __m512 sum = _mm512_mul_ps(load_scales(group.scales, column), sums[i]);
      if constexpr (Block::kHasOffset) sum = _mm512_fmadd_ps(load_scales(group.offsets, column), _mm512_set1_ps(total), sum);
      _mm512_mask_storeu_ps(out + column, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out + column), sum));
    }
  }
};

}  // namespace

template <class Block>
void accumulate_repacked_avx2(const Accumulate& op) {
  const uint64_t code_row_bytes = Repacked<Block>::layout(op.hidden_width).code_row_bytes;
  for_each_group<Block>(op, [&](const RepackedGroup& group, const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    const float total = sum_of_scales(wanted);
    for (uint32_t c = begin; c < end; c += 32) Avx2<Block>::add(group, code_row_bytes, wanted, total, op.out + row * op.out_stride, c, end);
  });
}

template <class Block>
void accumulate_repacked_avx512(const Accumulate& op) {
  const uint64_t code_row_bytes = Repacked<Block>::layout(op.hidden_width).code_row_bytes;
  for_each_group<Block>(op, [&](const RepackedGroup& group, const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    const float total = sum_of_scales(wanted);
    float* out = op.out + row * op.out_stride;
    uint32_t c = begin;
    for (; c + 128 <= end; c += 128) Avx512<Block>::template add<4>(group, code_row_bytes, wanted, total, out, c, end);
    for (; c < end; c += 32) Avx512<Block>::template add<1>(group, code_row_bytes, wanted, total, out, c, end);
  });
}

template void accumulate_repacked_avx2<BlockQ8_0>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ4_0>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ4_1>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ5_0>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ5_1>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ2_K>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ3_K>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ4_K>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ5_K>(const Accumulate&);
template void accumulate_repacked_avx2<BlockQ6_K>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ8_0>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ4_0>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ4_1>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ5_0>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ5_1>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ2_K>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ3_K>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ4_K>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ5_K>(const Accumulate&);
template void accumulate_repacked_avx512<BlockQ6_K>(const Accumulate&);
#endif

template void accumulate_repacked_scalar<BlockQ8_0>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ4_0>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ4_1>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ5_0>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ5_1>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ2_K>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ3_K>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ4_K>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ5_K>(const Accumulate&);
template void accumulate_repacked_scalar<BlockQ6_K>(const Accumulate&);

}  // namespace powerinfer
