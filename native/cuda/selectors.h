// Predictors that run on the device: those that bring CUDA kernels, and those of the library that this one has kernels for.
#pragma once
#include <map>
#include <memory>

#include "../include/powerinfer_plugin.h"
#include "kernels.h"
#include "memory.h"

namespace powerinfer::cuda {

// What a selection reads.
struct SelectInput {
  DeviceRows hidden;
  DeviceRows residual;  // the same before its norm
  uint32_t row_count;
};

// A predictor that is ready on the device.
class DeviceSelector {
 public:
  virtual ~DeviceSelector() = default;
  // Enqueues: the neurons of every row to `active` u32[row_count, words], every word of which is written.
  virtual void select(uint32_t block, const SelectInput& input, uint32_t* active, cudaStream_t stream) = 0;
};

// Where a selector is made.
struct SelectorPlace {
  Budget& budget;
  cudaStream_t stream;
  uint32_t ordinal;
  const powerinfer_model_shape& shape;
};

// One of a plugin that brings CUDA kernels. Fails in the plugin's words.
std::unique_ptr<DeviceSelector> plugin_selector(const SelectorPlace& place, const powerinfer_selector& selector);
// `low_rank` and `sign_bits` of powerinfer.h.
std::unique_ptr<DeviceSelector> low_rank_selector(const SelectorPlace& place, const powerinfer_plugin_context& context);
std::unique_ptr<DeviceSelector> sign_bits_selector(const SelectorPlace& place, const powerinfer_plugin_context& context);

class Selectors {
 public:
  explicit Selectors(const SelectorPlace& place) : place_(place) {}

  // Makes one ready. Fails with UNSUPPORTED if nothing here runs it, and with OUT_OF_MEMORY.
  void prepare(const powerinfer_selector& selector);
  // The one that was prepared, or is now.
  DeviceSelector& of(const powerinfer_selector& selector);

 private:
  SelectorPlace place_;
  std::map<uint32_t, std::unique_ptr<DeviceSelector>> ready_;  // by the predictor's handle
};

}  // namespace powerinfer::cuda
