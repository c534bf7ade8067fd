// How is a plugin's device built, and how far is its batch?
#include "device.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "../cpu/batch_checks.h"
#include "../cpu/kernels.h"
#include "../cpu/tensor_shape.h"

namespace powerinfer {

Device::Device(std::shared_ptr<const PluginLibrary> from, const powerinfer_model_shape& given, bool is_home)
    : library(std::move(from)), shape(checked_shape(given)), home(is_home), settings(shape) {
  const powerinfer_backend_kernels& kernels = library->backend;
  if (!library->has_backend) library->lacks("backend");
  if (home) {
    library->required(kernels.cache_open, "cache_open, which a home needs");
    library->required(kernels.cache_close, "cache_close, which a home needs");
    library->required(kernels.embed, "embed, which a home needs");
    library->required(kernels.attend, "attend, which a home needs");
    library->required(kernels.merge, "merge, which a home needs");
    library->required(kernels.logits, "logits, which a home needs");
  }
  batch_caches.resize(shape.row_count_max);
  keys.resize(shape.row_count_max);
  active = Buffer<uint32_t>(uint64_t{shape.row_count_max} * words_of(shape));
}

Device::~Device() {
  if (ready) library->backend.close(state);
}

void check_unready(const Device& device) {
  if (device.ready) fail(POWERINFER_INVALID_ARGUMENT, "the device is ready; what it is made of is set before");
}

void check_ready(const Device& device) {
  if (!device.ready) fail(POWERINFER_INCOMPLETE, "the device is not ready; bind its tensors and call powerinfer_device_ready");
}

void set_share(Device& device, uint32_t block, const uint32_t* neurons) {
  check_unready(device);
  check_block(device.shape, block);
  check_active(device.shape, neurons, 1);
  const uint64_t words = words_of(device.shape);
  if (device.shares.empty()) {
    device.shares.assign(device.shape.block_count * words, ~0u);
    const uint32_t used_bits = device.shape.ffn_width % 32;
    for (uint64_t last = words - 1; used_bits != 0 && last < device.shares.size(); last += words) device.shares[last] = (1u << used_bits) - 1;
  }
  std::copy(neurons, neurons + words, device.shares.begin() + static_cast<std::ptrdiff_t>(block * words));
}

void bind_tensor(Device& device, uint32_t role, uint32_t block, TensorSource source) {
  check_unready(device);
  if (role == POWERINFER_DOWN_REPACKED) fail(POWERINFER_UNSUPPORTED, "its layout is the CPU's own; bind DOWN or DOWN_BY_NEURON");
  const uint32_t owner = role < kFirstBlockRole ? 0 : block;
  check_tensor(device.shape, role, source.width, source.rows);
  check_block(device.shape, owner);
  if (row_bytes(source.type, 256) == 0) fail(POWERINFER_UNSUPPORTED, "tensor type %u is unknown", source.type);
  const uint64_t size_bytes = row_bytes(source.type, source.width) * source.rows;
  if (size_bytes == 0) fail(POWERINFER_INVALID_ARGUMENT, "rows of %u weights are not whole blocks of tensor type %u", source.width, source.type);
  source.file->tensor(source.offset_bytes, size_bytes);
  DeviceTensor tensor{role, owner, std::move(source), size_bytes};
  for (DeviceTensor& bound : device.tensors) {
    if (bound.role == role && bound.block == owner) {
      bound = std::move(tensor);
      return;
    }
  }
  device.tensors.push_back(std::move(tensor));
}

void set_rope(Device& device, const float* inverse_frequencies, uint32_t count) {
  check_unready(device);
  check_rope(device.shape, inverse_frequencies, count);
  device.inverse_frequencies.assign(inverse_frequencies, inverse_frequencies + count);
}

namespace {

// What follows a plugin's open until it is ready.
void furnish(const Device& device, void* state) {
  const PluginLibrary& library = *device.library;
  for (const DeviceTensor& tensor : device.tensors) {
    const TensorSource& source = tensor.source;
    const powerinfer_tensor given{sizeof given, tensor.role, tensor.block, source.type, source.width, source.rows,
                                  source.file->tensor(source.offset_bytes, tensor.size_bytes), static_cast<double>(tensor.size_bytes)};
    const powerinfer_status status = library.backend.bind(state, &given);
    if (status == POWERINFER_OK) continue;
    char function[96] = "bind of ";
    describe_tensor(tensor.role, tensor.block, function + 8, sizeof function - 8);
    library.refuse(status, function);
  }
  if (!device.inverse_frequencies.empty()) {
    const uint32_t count = static_cast<uint32_t>(device.inverse_frequencies.size());
    library.check(library.required(library.backend.rope, "rope")(state, device.inverse_frequencies.data(), count), "rope");
  }
  library.check(library.backend.ready(state), "ready");
}

}  // namespace

void make_ready(Device& device) {
  if (device.ready) return;
  const PluginLibrary& library = *device.library;
  device.context = {sizeof device.context, device.home, &device.settings.fix(), device.shares.empty() ? nullptr : device.shares.data()};
  void* state = nullptr;
  const powerinfer_status status = library.backend.open(&device.context, &state);
  if (status != POWERINFER_OK) {
    device.settings.loosen();
    library.refuse(status, "open");
  }
  try {
    furnish(device, state);
  } catch (...) {
    library.backend.close(state);
    device.settings.loosen();
    throw;
  }
  device.state = state;
  device.ready = true;
}

DeviceCache& cache_of(Device& device, uint32_t number) {
  for (DeviceCache& cache : device.caches) {
    if (cache.number == number) return cache;
  }
  fail(POWERINFER_INVALID_HANDLE, "%u is not an open cache of the device", number);
}

}  // namespace powerinfer
