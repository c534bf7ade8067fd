// How are a plugin's predictor kernels called?
#pragma once
#include <memory>
#include <mutex>

#include "../cpu/thread_pool.h"
#include "library.h"
#include "settings.h"

namespace powerinfer {

// A predictor of a plugin for one shape of model. Locked while it selects; who holds a CPU or a device as well locks that first.
struct Predictor {
  Predictor(std::shared_ptr<const PluginLibrary> library, const powerinfer_model_shape& shape);
  ~Predictor();
  Predictor(const Predictor&) = delete;

  const std::shared_ptr<const PluginLibrary> library;
  const powerinfer_model_shape shape;
  std::mutex busy;
  Settings settings;
  bool opened = false;
  void* state = nullptr;
};

// Has the plugin open it. Fails with PLUGIN_FAILED, and may then be tried again.
void open_predictor(Predictor& predictor);

// What a selection reads.
struct SelectInput {
  const float* hidden;    // f32[row_count, hidden_width]
  const float* residual;  // the same before its norm, or null
  uint32_t row_count;
};

// The arguments of select_cpu; `pool` may be null.
powerinfer_select select_call(const Predictor& predictor, ThreadPool* pool, uint32_t block, const SelectInput& input, uint32_t* active);

// Fails with INCOMPLETE before it is open, and with INVALID_ARGUMENT for a block or row_count that its shape does not have.
void check_select(const Predictor& predictor, uint32_t block, uint32_t row_count);

// Fails with INVALID_ARGUMENT unless it was opened for models of this shape.
void check_predicts(const Predictor& predictor, const powerinfer_model_shape& shape);

// Names the neurons of every row. Fails with UNSUPPORTED if it selects on other devices only, and with PLUGIN_FAILED if the kernel does or names a
// neuron that is none; `active` is then zero.
void select(const Predictor& predictor, ThreadPool* pool, uint32_t block, const SelectInput& input, uint32_t* active);

}  // namespace powerinfer
