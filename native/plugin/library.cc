// What does a plugin library bring, and can it be believed?
#include "library.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "../cpu/error.h"
#include "../predictors/builtin.h"

namespace powerinfer {
namespace {

constexpr uint32_t kNameBytesMax = 64;
constexpr const char* kEntry = "powerinfer_plugin_entry";
using Entry = const powerinfer_plugin* (*)(uint32_t host_abi_major, uint32_t host_abi_minor);

// Bytes of the tables of version 1.0, which every plugin of major 1 has at least.
constexpr uint32_t kPluginBytesMin = offsetof(powerinfer_plugin, backend) + sizeof(powerinfer_plugin::backend);
constexpr uint32_t kPredictorBytesMin = offsetof(powerinfer_predictor_kernels, select_cuda) + sizeof(powerinfer_predictor_kernels::select_cuda);
constexpr uint32_t kBackendBytesMin = offsetof(powerinfer_backend_kernels, counters) + sizeof(powerinfer_backend_kernels::counters);
// Of every major.
constexpr uint32_t kVersionBytes = offsetof(powerinfer_plugin, reserved);

// RTLD_NODELETE: threads of the library may be in its code whoever closes it. RTLD_NOW: a symbol it lacks is found missing here, not in a batch.
Entry entry_of(const std::string& path) {
  // A name without a folder would be searched for in the system's.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* words = ::dlerror();
    if (words == nullptr) words = "the system does not say why";
    if (std::strncmp(words, file.c_str(), file.size()) == 0 && std::strncmp(words + file.size(), ": ", 2) == 0) words += file.size() + 2;
    fail(POWERINFER_FILE_ERROR, "%s", words);
  }
  void* const symbol = ::dlsym(library, kEntry);
  if (symbol == nullptr) fail(POWERINFER_UNSUPPORTED, "it does not export %s; name a library that was built as a plugin", kEntry);
  Entry entry;
  std::memcpy(&entry, &symbol, sizeof entry);
  return entry;
}

void check_version(const powerinfer_plugin& table) {
  if (table.struct_size < kVersionBytes) fail(POWERINFER_PLUGIN_FAILED, "struct_size of its powerinfer_plugin is %u; set it to sizeof", table.struct_size);
  constexpr uint32_t major = POWERINFER_PLUGIN_ABI_MAJOR;
  if (table.abi_major == major) return;
  fail(POWERINFER_UNSUPPORTED, "it speaks plugin ABI %u, this engine %u; update the %s", table.abi_major, major, table.abi_major > major ? "engine" : "plugin");
}

// Copies as much of a table as both sides know. Fails with PLUGIN_FAILED if it is shorter than any of this major can be.
template <class Table>
void copy_table(const Table& from, uint32_t bytes_min, const char* name, Table& to) {
  if (from.struct_size < bytes_min) {
    fail(POWERINFER_PLUGIN_FAILED, "struct_size of its %s is %u, version 1.0 has %u; set it to sizeof", name, from.struct_size, bytes_min);
  }
  std::memcpy(&to, &from, std::min<size_t>(from.struct_size, sizeof to));
}

std::string checked_name(const char* text, const char* field) {
  const size_t length = text == nullptr ? 0 : strnlen(text, kNameBytesMax + 1);
  if (length == 0 || length > kNameBytesMax) {
    fail(POWERINFER_PLUGIN_FAILED, "its %s is %s; it must have 1 to %u bytes", field, length == 0 ? "empty" : "longer", kNameBytesMax);
  }
  return std::string(text, length);
}

void need(bool there, const char* function) {
  if (!there) fail(POWERINFER_PLUGIN_FAILED, "its table has no %s", function);
}

// What the tables say, if it can be believed.
std::shared_ptr<const PluginLibrary> checked(const powerinfer_plugin& entered) {
  check_version(entered);
  powerinfer_plugin table{};
  copy_table(entered, kPluginBytesMin, "powerinfer_plugin", table);

  auto library = std::make_shared<PluginLibrary>();
  library->name = checked_name(table.name, "name");
  if (table.version != nullptr) library->version = checked_name(table.version, "version");
  library->abi_major = table.abi_major;
  library->abi_minor = table.abi_minor;
  library->last_error = table.last_error;
  if (table.predictor == nullptr && table.backend == nullptr) fail(POWERINFER_PLUGIN_FAILED, "it brings neither a predictor nor a backend");
  if (table.predictor != nullptr) {
    powerinfer_predictor_kernels& kernels = library->predictor;
    copy_table(*table.predictor, kPredictorBytesMin, "powerinfer_predictor_kernels", kernels);
    need(kernels.open != nullptr && kernels.close != nullptr, "open or close of a predictor");
    need(kernels.select_cpu != nullptr || kernels.select_cuda != nullptr, "select_cpu or select_cuda");
    need((kernels.open_cuda != nullptr) == (kernels.select_cuda != nullptr), "open_cuda beside select_cuda");
    library->has_predictor = true;
  }
  if (table.backend != nullptr) {
    powerinfer_backend_kernels& kernels = library->backend;
    copy_table(*table.backend, kBackendBytesMin, "powerinfer_backend_kernels", kernels);
    need(kernels.open != nullptr && kernels.close != nullptr, "open or close of a backend");
    need(kernels.bind != nullptr && kernels.ready != nullptr, "bind or ready");
    need(kernels.ffn != nullptr, "ffn");
    need((kernels.flags & POWERINFER_BACKEND_HANDS_OVER) == 0 || (kernels.hidden != nullptr && kernels.selected != nullptr), "hidden or selected");
    library->has_backend = true;
  }
  return library;
}

}  // namespace

uint32_t PluginLibrary::provides() const {
  return (has_predictor ? POWERINFER_PLUGIN_PREDICTOR : 0) | (has_backend ? POWERINFER_PLUGIN_BACKEND : 0) |
         (predictor.select_cpu != nullptr ? POWERINFER_PLUGIN_SELECTS_CPU : 0) |
         (predictor.select_cuda != nullptr ? POWERINFER_PLUGIN_SELECTS_CUDA : 0);
}

void PluginLibrary::refuse(powerinfer_status status, const char* function) const {
  const char* const words = last_error == nullptr ? nullptr : last_error();
  // Memory that is missing is no fault of the plugin's, and the caller can ask for less.
  const powerinfer_status reported = status == POWERINFER_OUT_OF_MEMORY ? status : POWERINFER_PLUGIN_FAILED;
  if (words == nullptr || *words == '\0') fail(reported, "%s failed in %s: status %d, and it does not say why", name.c_str(), function, status);
  fail(reported, "%s failed in %s: %s", name.c_str(), function, words);
}

void PluginLibrary::lacks(const char* function) const { fail(POWERINFER_UNSUPPORTED, "%s brings no %s", name.c_str(), function); }

std::shared_ptr<const PluginLibrary> load_plugin(const std::string& path) {
  const powerinfer_plugin* const entered = entry_of(path)(POWERINFER_PLUGIN_ABI_MAJOR, POWERINFER_PLUGIN_ABI_MINOR);
  if (entered == nullptr) {
    fail(POWERINFER_PLUGIN_FAILED, "its %s refused plugin ABI %u.%u; ask its makers for one that takes it", kEntry, POWERINFER_PLUGIN_ABI_MAJOR,
         POWERINFER_PLUGIN_ABI_MINOR);
  }
  return checked(*entered);
}

std::shared_ptr<const PluginLibrary> builtin_library(const std::string& name) {
  const powerinfer_plugin* const plugin = builtin_plugin(name);
  if (plugin == nullptr) fail(POWERINFER_UNSUPPORTED, "there is none of that name; there are %s", builtin_names().c_str());
  return checked(*plugin);
}

}  // namespace powerinfer
