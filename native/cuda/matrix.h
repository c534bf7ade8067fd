// How do weights lie in device memory?
//
// Not as in the file: a block of 18 or 34 bytes has no aligned loads. The fields of a row's blocks become planes, in each of which what belongs to eight
// consecutive weights is one aligned piece (format.h); no value changes. A thread takes eight weights at a time, an *octet* (octet.cuh).
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define POWERINFER_CUDA_BOTH __host__ __device__
#else
#define POWERINFER_CUDA_BOTH
#endif

namespace powerinfer::cuda {

// Octets from one row of a matrix to the next: whole 32 weights, the last of them zeros.
POWERINFER_CUDA_BOTH constexpr uint32_t octets_of(uint32_t width) { return (width + 31) / 32 * 4; }

// `rows` dot products of length `width`. Every plane has one row a matrix row.
struct DeviceMatrix {
  const uint8_t* codes = nullptr;  // null: not bound
  const uint8_t* high = nullptr;   // Q6_K: the upper two bits
  const uint8_t* small_scales = nullptr;  // K types: what d (and dmin) is multiplied by in each group
  const uint8_t* scales = nullptr;        // f16 d, or f16 d and dmin, of each block
  uint32_t type = 0;
  uint32_t width = 0;
  uint32_t rows = 0;

  bool bound() const { return codes != nullptr; }
};

// `down` of a share, a row of hidden_width weights a neuron. From DOWN_BY_NEURON, or from a DOWN of a type without blocks, it is an ordinary matrix;
// from a DOWN of a block type, whose scales lie along the neurons, it keeps the codes by neuron, and the scales have a row for each group (or block) of
// the model's neurons, with a scale for every column.
struct DownMatrix {
  DeviceMatrix rows;  // codes, and everything else where `columns` is false
  bool columns = false;
  const uint32_t* neurons = nullptr;  // columns: u32[rows.rows], the model's number n of each neuron: n / group and n / block are the rows of its scales
};

}  // namespace powerinfer::cuda
