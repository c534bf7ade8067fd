// What does a plugin library bring, and can it be believed?
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "../include/powerinfer_plugin.h"

namespace powerinfer {

// A plugin library and its tables, copied: what a table of an older minor version lacks is null here. The library is never unmapped.
struct PluginLibrary {
  std::string name;
  std::string version;
  uint32_t abi_major = 0;
  uint32_t abi_minor = 0;
  const char* (*last_error)() = nullptr;
  bool has_predictor = false;
  bool has_backend = false;
  powerinfer_predictor_kernels predictor{};
  powerinfer_backend_kernels backend{};

  // POWERINFER_PLUGIN_x
  uint32_t provides() const;

  // Fails with PLUGIN_FAILED, in the plugin's own words, unless `status`, which its `function` has returned on this thread, is OK.
  void check(powerinfer_status status, const char* function) const {
    if (status != POWERINFER_OK) refuse(status, function);
  }
  [[noreturn]] void refuse(powerinfer_status status, const char* function) const;

  // The function, if the plugin brings it; fails with UNSUPPORTED.
  template <class Function>
  Function* required(Function* function, const char* called) const {
    if (function == nullptr) lacks(called);
    return function;
  }
  [[noreturn]] void lacks(const char* function) const;
};

// Loads the library and checks what it says about itself; see powerinfer_plugin_load.
std::shared_ptr<const PluginLibrary> load_plugin(const std::string& path);
// One that is linked in; see powerinfer_plugin_builtin.
std::shared_ptr<const PluginLibrary> builtin_library(const std::string& name);

}  // namespace powerinfer
