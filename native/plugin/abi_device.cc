// The ABI of a plugin's devices: build, make ready, caches, close.
#include <algorithm>

#include "../cpu/kernels.h"
#include "../cpu/tensor_shape.h"
#include "abi_plugin.h"

namespace powerinfer {

HandleTable<Device>& devices() {
  static auto& table = *new HandleTable<Device>(6, "device");
  return table;
}

}  // namespace powerinfer

using namespace powerinfer;

powerinfer_status powerinfer_device_facts(uint32_t plugin, uint32_t index, powerinfer_backend_facts* facts) {
  return guarded("read the device's facts", [&] {
    const std::shared_ptr<const PluginLibrary> library = plugins().get(plugin);
    powerinfer_backend_facts& out = required_struct(facts, "facts");
    if (!library->has_backend) library->lacks("backend");
    powerinfer_backend_facts said{};
    said.struct_size = sizeof said;
    if (library->backend.facts_at != nullptr) {
      const powerinfer_status status = library->backend.facts_at(index, &said);
      if (status == POWERINFER_INVALID_ARGUMENT) fail(status, "%s has no device %u", library->name.c_str(), index);
      library->check(status, "facts_at");
    } else {
      const auto only = library->required(library->backend.facts, "facts");
      if (index > 0) fail(POWERINFER_INVALID_ARGUMENT, "%s has one device", library->name.c_str());
      library->check(only(&said), "facts");
    }
    said.struct_size = sizeof said;
    said.name[sizeof said.name - 1] = '\0';
    out = said;
  });
}

powerinfer_status powerinfer_device_measure(uint32_t plugin, uint32_t index, powerinfer_backend_speed* speed) {
  return guarded("measure the device", [&] {
    const std::shared_ptr<const PluginLibrary> library = plugins().get(plugin);
    powerinfer_backend_speed& out = required_struct(speed, "speed");
    if (!library->has_backend) library->lacks("backend");
    powerinfer_backend_speed measured{};
    measured.struct_size = sizeof measured;
    const powerinfer_status status = library->required(library->backend.measure_at, "measure_at")(index, &measured);
    if (status == POWERINFER_INVALID_ARGUMENT) fail(status, "%s has no device %u", library->name.c_str(), index);
    library->check(status, "measure_at");
    measured.struct_size = sizeof measured;
    out = measured;
  });
}

powerinfer_status powerinfer_device_new(uint32_t plugin, const powerinfer_model_shape* shape, uint32_t home, uint32_t* device) {
  return guarded("make a device", [&] {
    std::shared_ptr<const PluginLibrary> library = plugins().get(plugin);
    const powerinfer_model_shape& given = required_struct(shape, "shape");
    uint32_t& out = required(device, "device");
    if (home > 1) fail(POWERINFER_INVALID_ARGUMENT, "home is %u; it must be 0 or 1", home);
    out = devices().add(std::make_shared<Device>(std::move(library), given, home == 1));
  });
}

powerinfer_status powerinfer_device_option(uint32_t device, const char* name, uint32_t name_length, uint32_t kind, double number, const char* text,
                                           uint32_t text_length) {
  return guarded("set an option of the device", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    const std::string option = checked_setting_name(name, name_length);
    const std::string words = checked_setting_text(kind, text, text_length);
    const std::lock_guard<std::mutex> lock(d->busy);
    d->settings.set_option(option, kind, number, words);
  });
}

powerinfer_status powerinfer_device_array(uint32_t device, const char* name, uint32_t name_length, const void* bytes, double size_bytes) {
  return guarded("set an array of the device", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    const std::string array = checked_setting_name(name, name_length);
    const uint64_t size = checked_bytes(size_bytes, "size_bytes");
    const uint8_t* const from = static_cast<const uint8_t*>(bytes);
    if (size > 0) required(from, "bytes");
    const std::lock_guard<std::mutex> lock(d->busy);
    d->settings.set_array(array, from, size);
  });
}

powerinfer_status powerinfer_device_share(uint32_t device, uint32_t block, const uint32_t* neurons) {
  return guarded("set the device's share", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    const uint32_t& first = required(neurons, "neurons");
    const std::lock_guard<std::mutex> lock(d->busy);
    set_share(*d, block, &first);
  });
}

powerinfer_status powerinfer_device_bind(uint32_t device, uint32_t role, uint32_t block, uint32_t file, double offset_bytes, uint32_t type, uint32_t width,
                                         uint32_t rows) {
  char action[96] = "bind ";
  describe_tensor(role, block, action + 5, sizeof action - 5);
  return guarded(action, [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    std::shared_ptr<MappedFile> source = files().get(file);
    const uint64_t offset = checked_bytes(offset_bytes, "offset_bytes");
    const std::lock_guard<std::mutex> lock(d->busy);
    bind_tensor(*d, role, block, TensorSource{std::move(source), offset, type, width, rows});
  });
}

powerinfer_status powerinfer_device_rope(uint32_t device, const float* inverse_frequencies, uint32_t count) {
  return guarded("set the rope frequencies", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    const float& first = required(inverse_frequencies, "inverse_frequencies");
    const std::lock_guard<std::mutex> lock(d->busy);
    set_rope(*d, &first, count);
  });
}

powerinfer_status powerinfer_device_ready(uint32_t device) {
  return guarded("make the device ready", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    const std::lock_guard<std::mutex> lock(d->busy);
    make_ready(*d);
  });
}

powerinfer_status powerinfer_device_cache_open(uint32_t device, uint32_t position_count, uint32_t cache_type, uint32_t* cache) {
  return guarded("open a cache", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    uint32_t& out = required(cache, "cache");
    check_cache(position_count, cache_type);
    const std::lock_guard<std::mutex> lock(d->busy);
    check_ready(*d);
    const PluginLibrary& library = *d->library;
    d->caches.reserve(d->caches.size() + 1);  // so that nothing fails once the plugin has opened it
    uint32_t number = 0;
    library.check(library.required(library.backend.cache_open, "cache_open")(d->state, position_count, cache_type, &number), "cache_open");
    const bool taken = std::any_of(d->caches.begin(), d->caches.end(), [&](const DeviceCache& open) { return open.number == number; });
    if (number == 0 || taken) {
      fail(POWERINFER_PLUGIN_FAILED, "%s numbered a cache %u, which is %s", library.name.c_str(), number, taken ? "another one" : "none");
    }
    d->caches.push_back({number, position_count, 0});
    out = number;
  });
}

powerinfer_status powerinfer_device_cache_close(uint32_t device, uint32_t cache) {
  return guarded("close the cache", [&] {
    const std::shared_ptr<Device> d = devices().get(device);
    const std::lock_guard<std::mutex> lock(d->busy);
    check_ready(*d);
    DeviceCache& closed = cache_of(*d, cache);
    d->library->required(d->library->backend.cache_close, "cache_close")(d->state, cache);
    closed = d->caches.back();
    d->caches.pop_back();
    // A batch cannot go on without a cache of its rows.
    const auto rows_end = d->batch_caches.begin() + d->batch.row_count;
    if (std::find(d->batch_caches.begin(), rows_end, cache) != rows_end) d->batch = BatchProgress{};
  });
}

powerinfer_status powerinfer_device_close(uint32_t device) {
  return guarded("close the device", [&] { devices().remove(device); });
}
