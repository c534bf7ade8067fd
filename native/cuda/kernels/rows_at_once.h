// For how many rows does a kernel read each weight once?
#pragma once
#include <cstdint>
#include <type_traits>

namespace powerinfer::cuda {

// Calls f with 1, 2, 4 or 8 as an integral constant: registers for sums are counted when a kernel is compiled, and one row alone needs few.
template <class F>
void with_rows_at_once(uint32_t row_count, F&& f) {
  if (row_count == 1) f(std::integral_constant<uint32_t, 1>{});
  else if (row_count == 2) f(std::integral_constant<uint32_t, 2>{});
  else if (row_count <= 4) f(std::integral_constant<uint32_t, 4>{});
  else f(std::integral_constant<uint32_t, 8>{});
}

}  // namespace powerinfer::cuda
