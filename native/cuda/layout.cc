// How large is a matrix on the device, and where in it does each plane lie?
#include "layout.h"

#include "format.h"

namespace powerinfer::cuda {
namespace {

const char* type_name(uint32_t type) {
  switch (type) {
    case Q4_1: return "Q4_1";
    case Q5_0: return "Q5_0";
    case Q5_1: return "Q5_1";
    case Q2_K: return "Q2_K";
    case Q3_K: return "Q3_K";
    case Q5_K: return "Q5_K";
    default: return "unknown";
  }
}

void place(MatrixLayout& layout, PlaneKind kind, uint64_t row_bytes, uint32_t row_count) {
  constexpr uint64_t kAlignment = 256;
  if (row_bytes == 0 || row_count == 0) return;
  layout.planes[kind] = {layout.size_bytes, row_bytes, row_count};
  layout.size_bytes += (row_bytes * row_count + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void refuse_type(uint32_t type) {
  fail(POWERINFER_UNSUPPORTED,
       "tensor type %u (%s) has no layout on a CUDA device, which reads F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K: convert the model to one of these, "
       "or run it on the CPU",
       type, type_name(type));
}

MatrixLayout layout_of(const MatrixSource& source) {
  return with_type(source.type, [&](auto type) {
    using F = Format<type>;
    if (source.width % F::kBlock != 0) {
      fail(POWERINFER_INVALID_ARGUMENT, "rows of %u weights are not whole blocks of tensor type %u", source.width, source.type);
    }
    MatrixLayout layout;
    layout.columns = source.down && !F::kPlain;
    const uint32_t rows = source.matrix_rows();
    const uint64_t octets = octets_of(source.matrix_width());
    if (octets * rows > UINT32_MAX) {
      fail(POWERINFER_UNSUPPORTED, "a matrix of %u rows of %u weights is too large for a CUDA device, which counts to 2^35 weights", rows, source.matrix_width());
    }
    place(layout, kCodes, octets * F::kCodeBytes, rows);
    place(layout, kHigh, octets * F::kHighBytes, rows);
    if (layout.columns) {
      place(layout, kSmallScales, octets * 8 * F::kSmallBytes, source.width / F::kGroup);
      place(layout, kScales, octets * 8 * F::kScaleBytes, source.width / F::kBlock);
      place(layout, kNeurons, sizeof(uint32_t), rows);
    } else {
      place(layout, kSmallScales, uint64_t{source.width / F::kGroup} * F::kSmallBytes, rows);
      place(layout, kScales, uint64_t{source.width / F::kBlock} * F::kScaleBytes, rows);
    }
    return layout;
  });
}

DownMatrix matrix_at(const MatrixSource& source, const MatrixLayout& layout, const uint8_t* device) {
  const auto at = [&](PlaneKind kind) {
    const Plane& plane = layout.planes[kind];
    return plane.row_count == 0 ? nullptr : device + plane.offset_bytes;
  };
  return {{at(kCodes), at(kHigh), at(kSmallScales), at(kScales), source.type, source.matrix_width(), source.matrix_rows()},
          layout.columns,
          reinterpret_cast<const uint32_t*>(at(kNeurons))};
}

}  // namespace powerinfer::cuda
