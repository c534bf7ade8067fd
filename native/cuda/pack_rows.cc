// The rows of a tensor, one after another: a unit is a row.
#include "pack.h"
#include "pack_octet.h"

namespace powerinfer::cuda {
namespace {

PlaneRows rows_of_unit(const MatrixSource&, uint32_t unit) { return {{unit, unit, unit, unit, 0}, {1, 1, 1, 1, 0}}; }

template <uint32_t Type>
void pack_row(const MatrixSource& source, uint32_t unit, const PackedPlanes& to) {
  using F = Format<Type>;
  const uint8_t* const from = source.bytes + uint64_t{source.member(unit)} * (source.width / F::kBlock) * F::kFileBytes;
  uint8_t* const codes = to.row(kCodes, unit);
  if constexpr (F::kPlain) {
    const uint64_t size_bytes = uint64_t{source.width} * F::kFileBytes;
    std::memcpy(codes, from, size_bytes);
    std::memset(codes + size_bytes, 0, to.row_bytes[kCodes] - size_bytes);
  } else {
    const auto* const blocks = reinterpret_cast<const typename F::Block*>(from);
    for (uint32_t b = 0; b < source.width / F::kBlock; ++b) {
      int8_t block_codes[F::kBlock];
      codes_of<F>(blocks[b], block_codes);
      for (uint32_t i = 0; i < F::kBlock / 8; ++i) {
        const uint64_t octet = uint64_t{b} * (F::kBlock / 8) + i;
        pack_octet<Type>(block_codes + 8 * i, codes + octet * F::kCodeBytes, to.row(kHigh, unit) + octet * F::kHighBytes);
      }
      pack_scales<F>(blocks[b], to.row(kScales, unit) + b * F::kScaleBytes);
      if constexpr (F::kHasSmallScales) {
        pack_small_scales<F>(blocks[b], to.row(kSmallScales, unit) + b * (F::kBlock / F::kGroup) * F::kSmallBytes, F::kSmallBytes);
      }
    }
  }
}

}  // namespace

PackUnits units_of_rows(const MatrixSource& source) {
  return with_type(source.type, [&](auto type) { return PackUnits{source.matrix_rows(), {1, 1, 1, 1, 0}, rows_of_unit, pack_row<type>}; });
}

}  // namespace powerinfer::cuda
