// How do weights lie in device memory?
//
// Not as in the file: a block of 18 or 34 bytes has no aligned loads. The fields of a row's blocks become planes, in each of which what belongs to eight
// consecutive weights is one aligned piece; no value changes. A thread takes eight weights at a time, an *octet*.
#pragma once
#include <cstdint>

namespace powerinfer::cuda {

// `rows` dot products of length `width`. A row's planes have zeros from the width up to a multiple of 32.
struct DeviceMatrix {
  const uint8_t* codes = nullptr;  // null: not bound
  const uint8_t* high = nullptr;   // Q6_K: the upper two bits
  const uint8_t* small_scales = nullptr;  // K types: what d (and dmin) is multiplied by in each group
  const uint8_t* scales = nullptr;        // f16 d, or f16 d and dmin
  uint32_t type = 0;
  uint32_t width = 0;
  uint32_t rows = 0;

  bool bound() const { return codes != nullptr; }
};

// `down` of a share, a row of hidden_width weights a neuron. From DOWN_BY_NEURON, or from a DOWN of a type without blocks, it is an ordinary matrix;
// from a DOWN of a block type, whose scales lie along the neurons, it keeps the codes by neuron and the scales by group of neurons.
struct DownMatrix {
  DeviceMatrix rows;  // codes, and everything else where `columns` is false
  bool columns = false;
  const uint32_t* neurons = nullptr;  // columns: u32[rows.rows], the model's number of each neuron: n / 32 and n / 256 are the rows of its scales
};

}  // namespace powerinfer::cuda
