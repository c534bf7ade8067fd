// How is a plugin's device built, and how far is its batch?
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "../cpu/model.h"
#include "library.h"
#include "settings.h"

namespace powerinfer {

struct DeviceTensor {
  uint32_t role;
  uint32_t block;
  TensorSource source;
  uint64_t size_bytes;
};

struct DeviceCache {
  uint32_t number;  // the plugin's
  uint32_t position_count;
  uint32_t filled_count;  // as Cache's
};

// A device of a plugin and what the host must know to check its calls. Locked by every call.
struct Device {
  // Fails with INVALID_ARGUMENT for a bad shape, and with UNSUPPORTED if the plugin brings no backend, or a home is wanted and it cannot be one.
  Device(std::shared_ptr<const PluginLibrary> library, const powerinfer_model_shape& shape, bool home);
  ~Device();
  Device(const Device&) = delete;

  const std::shared_ptr<const PluginLibrary> library;
  const powerinfer_model_shape shape;
  const bool home;
  std::mutex busy;

  Settings settings;
  std::vector<uint32_t> shares;  // u32[block_count, words_of(shape)], or empty: every neuron
  std::vector<DeviceTensor> tensors;
  std::vector<float> inverse_frequencies;
  powerinfer_device_context context{};
  bool ready = false;
  void* state = nullptr;

  std::vector<DeviceCache> caches;
  BatchProgress batch;
  std::vector<uint32_t> batch_caches;  // [row_count_max], each row's
  std::vector<uint64_t> keys;          // [row_count_max], scratch
  Buffer<uint32_t> active;             // u32[row_count_max, words_of(shape)], of the device's share
  bool ffn_started = false;
  uint32_t selected_row_count = 0;  // of the last FFN, if a predictor that the device runs named its neurons
};

// Fails with INVALID_ARGUMENT if the device is ready: what it is made of is then fixed.
void check_unready(const Device& device);
// Fails with INCOMPLETE if it is not.
void check_ready(const Device& device);
void set_share(Device& device, uint32_t block, const uint32_t* neurons);
// Takes a tensor; binding twice replaces. Fails with INVALID_ARGUMENT or UNSUPPORTED.
void bind_tensor(Device& device, uint32_t role, uint32_t block, TensorSource source);
void set_rope(Device& device, const float* inverse_frequencies, uint32_t count);
// Has the plugin open the device and take all of it. Fails with PLUGIN_FAILED, and may then be tried again.
void make_ready(Device& device);

// The open cache of that number. Fails with INVALID_HANDLE.
DeviceCache& cache_of(Device& device, uint32_t number);

}  // namespace powerinfer
