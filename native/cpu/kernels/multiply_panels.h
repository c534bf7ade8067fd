// Quantized weights times activation codes, eight weight rows at a time: integer dot products inside every group of weights that shares a
// scale, f32 from there on, in the order of matmul_codes_scalar, whose bits every variant gives. A step of 32 codes is unpacked once for all
// activation rows. Included once per instruction set, which defines TARGET, add_products and add_word_products.
#include "code_panels.h"
#include "matmul_tiles.h"

namespace powerinfer {
namespace {

// Activation rows whose sums are kept at a time.
constexpr uint32_t kRowsAtOnce = 64;

TARGET POWERINFER_INLINE __m256i spread_32(const void* bytes) {
  int32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return _mm256_set1_epi32(value);
}

// 16-bit constants `even` and `odd` in turn.
TARGET POWERINFER_INLINE __m256i word_pairs(uint32_t even, uint32_t odd) { return _mm256_set1_epi32(static_cast<int>(odd << 16 | even)); }

// What one step of a panel multiplies every activation row with.
template <class Block>
struct PanelStep {
  static constexpr bool kWords = std::is_same_v<Block, BlockQ8_0>;
  static constexpr uint32_t kGroups = 32 / std::min(32u, Block::kGroup);
  static constexpr uint32_t kVectors = kWords ? 16 : 8;

  __m256i codes[kVectors];
  __m256 scales[kGroups];
  __m256 offsets;

  TARGET POWERINFER_INLINE PanelStep(const Panel<Block>& panel, uint32_t unit, uint32_t step) {
    panel.codes(step, codes);
    FOR_REGISTERS(g, kGroups) scales[g] = panel.scale(unit * Panel<Block>::kSteps + step, g);
    if constexpr (Block::kHasOffset) offsets = panel.offset(unit * Panel<Block>::kSteps + step);
  }

  // sums[c] += this step times activation rows `row` + c of the step `k_step`.
  template <uint32_t C>
  TARGET POWERINFER_INLINE void multiply(const Rows& x, uint64_t k_step, uint32_t row, __m256 (&sums)[C]) const {
    const uint64_t at = k_step * x.count + row;
    if constexpr (kWords) {
      __m256i dots[C];
      FOR_REGISTERS(c, C) dots[c] = _mm256_setzero_si256();
      FOR_REGISTERS(j, kVectors)
        FOR_REGISTERS(c, C) dots[c] = add_word_products(dots[c], codes[j], spread_32(x.words.codes + (at + c) * 32 + 2 * j));
      FOR_REGISTERS(c, C) add(scales[0], _mm256_broadcast_ss(x.words.scales + at + c), dots[c], sums[c]);
    } else {
      constexpr uint32_t kGroupVectors = kVectors / kGroups;
      FOR_REGISTERS(g, kGroups) {
        __m256i dots[C];
        FOR_REGISTERS(c, C) {
          const int8_t* x_codes = x.bytes.codes + (at + c) * 32 + g * kGroupVectors * 4;
          __m256i factors[kGroupVectors];
          FOR_REGISTERS(j, kGroupVectors) factors[j] = spread_32(x_codes + 4 * j);
          dots[c] = sum_of_products<Panel<Block>::kLargest>(codes + g * kGroupVectors, factors);
        }
        FOR_REGISTERS(c, C) {
          const __m256i x_sums = spread_32(x.bytes.sums + (at + c) * 2);  // of both halves of the step
          const __m256 x_scale = _mm256_broadcast_ss(x.bytes.scales + at + c);
          constexpr uint32_t kZero = Panel<Block>::kZero;
          if constexpr (kZero != 0) {
            const __m256i zeros = word_pairs(g == 0 ? kZero : 0, g == 1 || kGroups == 1 ? kZero : 0);
            dots[c] = _mm256_sub_epi32(dots[c], _mm256_madd_epi16(x_sums, zeros));
          }
          add(scales[g], x_scale, dots[c], sums[c]);
          if constexpr (Block::kHasOffset) add(offsets, x_scale, _mm256_madd_epi16(x_sums, word_pairs(1, 1)), sums[c]);
        }
      }
    }
  }

 private:
  TARGET POWERINFER_INLINE static void add(__m256 scale, __m256 x_scale, __m256i dot, __m256& sum) {
    sum = _mm256_fmadd_ps(_mm256_mul_ps(scale, x_scale), _mm256_cvtepi32_ps(dot), sum);
  }
};

// Panels are read from the first byte to the last, and fetched so much earlier. (Zen 3, width 2048, two threads, GB/s of Q4_0 at 1, 2, 4 and
// 9 KiB: 27.1, 28.6, 26.2, 24.9.)
constexpr uint64_t kPanelsAhead = 2048;

// Fetches what is multiplied next while a panel is. Past the end of a matrix it asks for nothing anybody needs, which harms nobody.
class RangeAhead {
 public:
  explicit RangeAhead(const uint8_t* at) : at_(at) {}
  template <uint32_t kBytes>
  POWERINFER_INLINE void fetch() {
    for (uint32_t at = 0; at < kBytes; at += 64) __builtin_prefetch(at_ + at, 0, 3);
    at_ += kBytes;
  }

 private:
  const uint8_t* at_;
};

class ListAhead {
 public:
  ListAhead(const Matmul& op, uint32_t i) : rows_(op, i, 8) {}
  template <uint32_t kBytes>
  POWERINFER_INLINE void fetch() { rows_.fetch(kBytes); }

 private:
  RowsAhead rows_;
};

// Calls body(step of the block, its place among all steps of a row) for every 32 weights of a panel, ascending.
template <class Block, class Rows, class Ahead, class Body>
TARGET POWERINFER_INLINE void for_each_step(uint32_t width, const Rows& rows, Ahead ahead, Body&& body) {
  using P = Panel<Block>;
  static_assert(P::kUnits * P::kSteps * 32 == Block::kWeights);
  uint64_t k_step = 0;
  for (uint64_t block = 0; block < width / Block::kWeights; ++block) {
    P panel;
    panel.open(rows, block);
    for (uint32_t unit = 0; unit < P::kUnits; ++unit) {
      ahead.template fetch<8 * sizeof(Block) / P::kUnits>();
      panel.load(rows, block, unit);
      FOR_REGISTERS(step, P::kSteps) body(PanelStep<Block>(panel, unit, step), k_step + step);
      k_step += P::kSteps;
    }
  }
}

// One activation row: its sums stay in a register.
template <class Block, class Rows, class Ahead>
TARGET void multiply_one_row(const Matmul& op, const Rows& rows, Ahead ahead, float (*out)[8]) {
  __m256 sums[1] = {_mm256_setzero_ps()};
  for_each_step<Block>(op.x.width, rows, ahead, [&](const PanelStep<Block>& step, uint64_t k_step) TARGET { step.multiply(op.x, k_step, 0, sums); });
  _mm256_storeu_ps(out[0], sums[0]);
}

// `count` activation rows from `row` on, four at a time.
template <class Block, class Rows, class Ahead>
TARGET void multiply_rows(const Matmul& op, const Rows& rows, Ahead ahead, uint32_t row, uint32_t count, float (*out)[8]) {
  for (uint32_t c = 0; c < count; ++c) _mm256_storeu_ps(out[c], _mm256_setzero_ps());
  for_each_step<Block>(op.x.width, rows, ahead, [&](const PanelStep<Block>& step, uint64_t k_step) TARGET {
    uint32_t c = 0;
    for (; c + 4 <= count; c += 4) {
      __m256 sums[4];
      FOR_REGISTERS(i, 4) sums[i] = _mm256_loadu_ps(out[c + i]);
      step.multiply(op.x, k_step, row + c, sums);
      FOR_REGISTERS(i, 4) _mm256_storeu_ps(out[c + i], sums[i]);
    }
    for (; c < count; ++c) {
      __m256 sums[1] = {_mm256_loadu_ps(out[c])};
      step.multiply(op.x, k_step, row + c, sums);
      _mm256_storeu_ps(out[c], sums[0]);
    }
  });
}

// Weight rows i .. i + count - 1 of `op`, at most eight, with every activation row.
template <class Block, class Rows, class Ahead>
void multiply_panel(const Matmul& op, uint32_t i, uint32_t count, const Rows& rows, Ahead ahead) {
  for (uint32_t row = 0; row < op.x.count; row += kRowsAtOnce) {
    alignas(32) float sums[kRowsAtOnce][8];
    const uint32_t row_count = std::min(op.x.count - row, kRowsAtOnce);
    if (op.x.count == 1) multiply_one_row<Block>(op, rows, ahead, sums);
    else multiply_rows<Block>(op, rows, ahead, row, row_count, sums);
    for (uint32_t c = 0; c < row_count; ++c)
      for (uint32_t r = 0; r < count; ++r) op.out[(row + c) * op.out_stride + weight_row(op, i + r)] = sums[c][r];
  }
}

// Weight rows i .. i + count - 1, from their panel.
template <class Block>
void multiply_stored_panel(const Matmul& op, uint32_t i, uint32_t count) {
  const uint8_t* const panel = op.panels + weight_row(op, i) * op.row_bytes;
  multiply_panel<Block>(op, i, count, RowPanel{panel}, RangeAhead(panel + kPanelsAhead));
}

template <class Block>
void multiply_panels(const Matmul& op) {
  for (uint32_t i = 0; i < op.count; i += 8) {
    const uint32_t count = std::min(op.count - i, 8u);
    if (op.rows == nullptr && op.panels != nullptr) {
      multiply_stored_panel<Block>(op, i, count);
    } else if (op.rows == nullptr && count == 8) {
      const uint64_t at = weight_row(op, i) * op.row_bytes;
      // Rows are far apart, so the next eight are fetched in their order meanwhile; after the last, these again, from the cache.
      const uint64_t next = i + 8 < op.count ? at + 8 * op.row_bytes : at;
      multiply_panel<Block>(op, i, 8, RowRange{op.weight + at, op.row_bytes}, RangeAhead(op.weight + next));
    } else {
      RowList rows;  // the last one again where fewer than eight are left
      for (uint32_t r = 0; r < 8; ++r) rows.rows[r] = op.weight + weight_row(op, i + std::min(r, count - 1)) * op.row_bytes;
      multiply_panel<Block>(op, i, count, rows, ListAhead(op, i + 8));
    }
  }
}

// Types of our own are stored as panels wherever these kernels run: for anything else the definition serves, whose bits are the same.
template <class Block>
void multiply_only_panels(const Matmul& op) {
  if (op.panels == nullptr || op.rows != nullptr) return matmul_codes_scalar<Block>(op);
  for (uint32_t i = 0; i < op.count; i += 8) multiply_stored_panel<Block>(op, i, std::min(op.count - i, 8u));
}

}  // namespace
}  // namespace powerinfer
