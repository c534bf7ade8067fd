// Which of a few neurons does one row want?
#pragma once
#include "../kernels.h"

namespace powerinfer {

constexpr uint32_t kWantedMax = 32;

// Neurons whose scale is not zero (NaN counts), in ascending order. Leaving out the others keeps a row's sums the same in every batch:
// adding 0 · weight would turn -0 into 0 and an infinite weight into NaN.
struct Wanted {
  uint32_t count = 0;
  uint32_t neurons[kWantedMax];
  float scales[kWantedMax];

  // Among op.neurons[first .. first + length), for batch row `row`; length at most kWantedMax.
  Wanted(const Accumulate& op, uint32_t row, uint32_t first, uint32_t length) {
    const float* scale = op.x.values + row * op.x.stride;
    for (uint32_t i = 0; i < length; ++i) {
      neurons[count] = op.neurons[first + i];
      scales[count] = scale[neurons[count]];
      count += scales[count] != 0;
    }
  }
};

// Calls add(wanted, row, begin, end) for a few neurons and columns at a time, neurons ascending for every output. With several rows
// the columns are cut so that the weights of one step stay in the first-level cache while every row uses them.
template <class Add>
void for_each_wanted(const Accumulate& op, Add&& add) {
  const uint32_t step = op.x.count == 1 ? op.column_end - op.column_begin : 256;
  for (uint32_t first = 0; first < op.neuron_count; first += kWantedMax) {
    const uint32_t length = op.neuron_count - first < kWantedMax ? op.neuron_count - first : kWantedMax;
    for (uint32_t begin = op.column_begin; begin < op.column_end; begin += step) {
      const uint32_t end = op.column_end - begin < step ? op.column_end : begin + step;
      for (uint32_t row = 0; row < op.x.count; ++row) add(Wanted(op, row, first, length), row, begin, end);
    }
  }
}

}  // namespace powerinfer
