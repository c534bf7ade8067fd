// The columns of a DOWN, which are neurons, as rows. Types without blocks are transposed; of block types the codes are, and the scales of a block of
// neurons become a row of scales (the same split as native/cpu/repack.h, and for the same reason: no value changes).
#include <algorithm>

#include "pack.h"
#include "pack_octet.h"

namespace powerinfer::cuda {
namespace {

// Columns of the matrix that are gathered on the stack, so that both sides are touched in whole cache lines.
constexpr uint32_t kTileColumns = 64;
// Neurons of a unit of a type without blocks.
constexpr uint32_t kPlainNeurons = 64;

PlaneRows plain_rows(const MatrixSource& source, uint32_t unit) {
  const uint32_t first = unit * kPlainNeurons;
  return {{first, 0, 0, 0, 0}, {std::min(kPlainNeurons, source.matrix_rows() - first), 0, 0, 0, 0}};
}

template <uint32_t Type>
void transpose(const MatrixSource& source, uint32_t unit, const PackedPlanes& to) {
  using F = Format<Type>;
  constexpr uint32_t kBytes = F::kFileBytes;
  const uint32_t first = unit * kPlainNeurons;
  const uint32_t count = std::min(kPlainNeurons, source.matrix_rows() - first);
  for (uint32_t column = 0; column < source.rows; column += kTileColumns) {
    uint8_t tile[kPlainNeurons][kTileColumns * kBytes];
    const uint32_t columns = std::min(kTileColumns, source.rows - column);
    for (uint32_t c = 0; c < columns; ++c) {
      const uint8_t* const from = source.bytes + (uint64_t{column} + c) * source.width * kBytes;
      for (uint32_t n = 0; n < count; ++n) std::memcpy(tile[n] + c * kBytes, from + uint64_t{source.member(first + n)} * kBytes, kBytes);
    }
    for (uint32_t n = 0; n < count; ++n) std::memcpy(to.row(kCodes, first + n) + uint64_t{column} * kBytes, tile[n], columns * kBytes);
  }
  const uint64_t size_bytes = uint64_t{source.rows} * kBytes;
  for (uint32_t n = 0; n < count; ++n) std::memset(to.row(kCodes, first + n) + size_bytes, 0, to.row_bytes[kCodes] - size_bytes);
}

// The first row of the matrix whose neuron is at or above `neuron`.
uint32_t row_from(const MatrixSource& source, uint32_t neuron) {
  if (source.members == nullptr) return neuron;
  return static_cast<uint32_t>(std::lower_bound(source.members->begin(), source.members->end(), neuron) - source.members->begin());
}

template <uint32_t Type>
PlaneRows block_rows(const MatrixSource& source, uint32_t unit) {
  using F = Format<Type>;
  constexpr uint32_t kGroups = F::kBlock / F::kGroup;
  const uint32_t first = row_from(source, unit * F::kBlock);
  const uint32_t count = row_from(source, (unit + 1) * F::kBlock) - first;
  return {{first, first, unit * kGroups, unit, first}, {count, count, kGroups, 1, count}};
}

template <uint32_t Type>
void pack_block(const MatrixSource& source, uint32_t unit, const PackedPlanes& to) {
  using F = Format<Type>;
  constexpr uint32_t kGroups = F::kBlock / F::kGroup;
  const PlaneRows rows = block_rows<Type>(source, unit);
  const uint32_t first = rows.first[kCodes], count = rows.count[kCodes];
  const auto* const blocks = reinterpret_cast<const typename F::Block*>(source.bytes);
  const uint32_t padded_columns = octets_of(source.rows) * 8;
  for (uint32_t column = 0; column < padded_columns; column += kTileColumns) {
    int8_t codes[F::kBlock][kTileColumns];
    const uint32_t columns = std::min(kTileColumns, padded_columns - column);
    for (uint32_t c = 0; c < columns; ++c) {
      typename F::Block block{};  // beyond the last column: zeros
      const bool exists = column + c < source.rows;
      if (exists) block = blocks[(uint64_t{column} + c) * (source.width / F::kBlock) + unit];
      int8_t block_codes[F::kBlock] = {};
      if (exists) codes_of<F>(block, block_codes);
      for (uint32_t n = 0; n < F::kBlock; ++n) codes[n][c] = block_codes[n];
      pack_scales<F>(block, to.row(kScales, unit) + (uint64_t{column} + c) * F::kScaleBytes);
      if constexpr (F::kHasSmallScales) {
        pack_small_scales<F>(block, to.row(kSmallScales, unit * kGroups) + (uint64_t{column} + c) * F::kSmallBytes, to.row_bytes[kSmallScales]);
      }
    }
    for (uint32_t row = first; row < first + count; ++row) {
      const int8_t* const row_codes = codes[source.member(row) - unit * F::kBlock];
      for (uint32_t c = 0; c < columns; c += 8) {
        const uint64_t octet = (uint64_t{column} + c) / 8;
        pack_octet<Type>(row_codes + c, to.row(kCodes, row) + octet * F::kCodeBytes, to.row(kHigh, row) + octet * F::kHighBytes);
      }
    }
  }
  for (uint32_t row = first; row < first + count; ++row) {
    const uint32_t neuron = source.member(row);
    std::memcpy(to.row(kNeurons, row), &neuron, sizeof neuron);
  }
}

}  // namespace

PackUnits units_of_down(const MatrixSource& source) {
  return with_type(source.type, [&](auto type) {
    using F = Format<type>;
    if constexpr (F::kPlain) {
      return PackUnits{(source.matrix_rows() + kPlainNeurons - 1) / kPlainNeurons, {kPlainNeurons, 0, 0, 0, 0}, plain_rows, transpose<type>};
    } else {
      return PackUnits{source.width / F::kBlock, {F::kBlock, F::kBlock, F::kBlock / F::kGroup, 1, F::kBlock}, block_rows<type>, pack_block<type>};
    }
  });
}

}  // namespace powerinfer::cuda
