// The ABI of plugin libraries: load, read, close.
#include "abi_plugin.h"

#include <cstdio>
#include <cstring>

namespace powerinfer {

HandleTable<const PluginLibrary>& plugins() {
  static auto& table = *new HandleTable<const PluginLibrary>(4, "plugin");
  return table;
}

}  // namespace powerinfer

using namespace powerinfer;

namespace {

// Writes as many whole characters of `from` as fit.
void write_text(const std::string& from, char* text, uint32_t capacity, uint32_t* length) {
  uint32_t& out = required(length, "length");
  if (capacity > 0) required(text, "text");
  uint32_t size = static_cast<uint32_t>(from.size());
  if (size > capacity) {
    size = capacity;
    while (size > 0 && (static_cast<unsigned char>(from[size]) & 0xc0) == 0x80) --size;
  }
  if (size > 0) std::memcpy(text, from.data(), size);
  out = size;
}

// Writes "load the plugin library <path>": of a path so long that it would leave no room for the reason, its end.
void name_loading(const char* path, uint32_t length, char* action, uint64_t capacity) {
  constexpr uint32_t kShown = 400;
  if (path == nullptr) length = 0;
  const char* shown = path;
  uint32_t left = length;
  if (length > kShown) {
    shown += length - kShown;
    left = kShown;
    for (; left > 0 && (static_cast<unsigned char>(*shown) & 0xc0) == 0x80; --left) ++shown;
  }
  std::snprintf(action, capacity, "load the plugin library%s%.*s", length == 0 ? "" : length > kShown ? " …" : " ", static_cast<int>(left), left == 0 ? "" : shown);
}

}  // namespace

powerinfer_status powerinfer_plugin_load(const char* path, uint32_t path_length, uint32_t* plugin) {
  char action[512];
  name_loading(path, path_length, action, sizeof action);
  return guarded(action, [&] {
    const std::string file = checked_path(path, path_length);
    uint32_t& out = required(plugin, "plugin");
    out = plugins().add(load_plugin(file));
  });
}

powerinfer_status powerinfer_plugin_builtin(const char* name, uint32_t name_length, uint32_t* plugin) {
  return guarded("find the built-in plugin", [&] {
    const std::string wanted = checked_setting_name(name, name_length);
    uint32_t& out = required(plugin, "plugin");
    out = plugins().add(builtin_library(wanted));
  });
}

powerinfer_status powerinfer_plugin_read(uint32_t plugin, powerinfer_plugin_facts* facts) {
  return guarded("read the plugin", [&] {
    const std::shared_ptr<const PluginLibrary> library = plugins().get(plugin);
    powerinfer_plugin_facts& out = required_struct(facts, "facts");
    out = {sizeof out, library->abi_major, library->abi_minor, library->provides(), library->predictor.flags, library->backend.flags};
  });
}

powerinfer_status powerinfer_plugin_name(uint32_t plugin, char* text, uint32_t capacity, uint32_t* length) {
  return guarded("name the plugin", [&] { write_text(plugins().get(plugin)->name, text, capacity, length); });
}

powerinfer_status powerinfer_plugin_version(uint32_t plugin, char* text, uint32_t capacity, uint32_t* length) {
  return guarded("read the plugin's version", [&] { write_text(plugins().get(plugin)->version, text, capacity, length); });
}

powerinfer_status powerinfer_plugin_close(uint32_t plugin) {
  return guarded("close the plugin", [&] { plugins().remove(plugin); });
}
