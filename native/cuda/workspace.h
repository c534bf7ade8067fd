// Every buffer that a batch needs, on the device and page-locked on the host. Allocated once; a batch allocates nothing.
#pragma once
#include "kernels.h"
#include "memory.h"

namespace powerinfer::cuda {

// Batches of more rows compute their FFN as products of matrices, and keep no parts of a sum.
constexpr uint32_t kSparseRowsMax = 8;
// Logits leave the device so many rows at a time.
constexpr uint32_t kLogitRowsMax = 16;
// Partial sums of other devices that may be on their way at once.
constexpr uint32_t kRemoteCount = 4;
constexpr uint32_t kCachesMax = 4096;

struct Workspace {
  // Of a home.
  DeviceRows residual{}, block_input{}, normed{}, q{}, k{}, v{}, attended{};
  float *cosines = nullptr, *sines = nullptr;  // f32[row_count_max, rope_width / 2]
  BatchRow* rows = nullptr;
  CacheView* caches = nullptr;  // [kCachesMax]
  uint32_t* logit_rows = nullptr;
  float* logits = nullptr;  // f32[min(kLogitRowsMax, row_count_max), vocabulary_size]
  // Of every device.
  DeviceRows ffn_input{};  // what attend left
  DeviceRows given{};      // what the host gave instead
  uint32_t* active = nullptr;  // u32[row_count_max, words]
  uint32_t *candidates = nullptr, *candidate_count = nullptr;  // u32[share_count_max], u32[1]
  uint32_t *firing = nullptr, *firing_count = nullptr;
  float *activation = nullptr, *up = nullptr;  // f32[row_count_max, row_stride(share_count_max)]
  DeviceRows parts{};  // [kDownParts][part_rows]; of a batch of more rows than kSparseRowsMax one part
  uint32_t part_rows = 0;
  DeviceRows partial{};  // f32[row_count_max, hidden_width], summed up for who asks for it
  uint32_t *hidden_sequence = nullptr, *active_sequence = nullptr;
};

// Cuts the device's part out of `layout`; of no memory, to learn its size.
Workspace workspace_of(const powerinfer_model_shape& shape, bool home, uint32_t share_count_max, Layout& layout);

// The host's part: what comes and goes between the two.
struct Exchange {
  explicit Exchange(const powerinfer_model_shape& shape, bool home);

  PinnedMemory memory;
  BatchRow* rows = nullptr;
  float *cosines = nullptr, *sines = nullptr;
  uint32_t* logit_rows = nullptr;
  CacheView* caches = nullptr;
  float* hidden_out = nullptr;      // f32[row_count_max, hidden_width], what attend left
  uint32_t* active_out = nullptr;   // u32[row_count_max, words], what the predictor named
  uint32_t *hidden_arrived = nullptr, *active_arrived = nullptr;
  float* hidden_in = nullptr;       // of a device that is no home
  uint32_t* active_in = nullptr;
  float* partial_out = nullptr;     // f32[row_count_max, hidden_width]
  float* remote[kRemoteCount] = {};  // the same, of other devices
};

}  // namespace powerinfer::cuda
