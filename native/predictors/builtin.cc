// Which predictor kernels come with the library?
#include "builtin.h"

#include "kernel_table.h"

namespace powerinfer {
namespace {

thread_local char last_words[sizeof Failure::state];

const char* last_error() { return last_words; }

constexpr powerinfer_plugin plugin_of(const char* name, const powerinfer_predictor_kernels& kernels) {
  return {sizeof(powerinfer_plugin), POWERINFER_PLUGIN_ABI_MAJOR, POWERINFER_PLUGIN_ABI_MINOR, 0, name, nullptr, last_error, &kernels, nullptr};
}

const powerinfer_plugin kPlugins[] = {
    plugin_of("low_rank", kLowRank),
    plugin_of("quantized_gate", kQuantizedGate),
    plugin_of("sign_bits", kSignBits),
};

}  // namespace

void keep_words(const char* words) noexcept { std::strncpy(last_words, words, sizeof last_words - 1); }

const powerinfer_plugin* builtin_plugin(const std::string& name) {
  for (const powerinfer_plugin& plugin : kPlugins)
    if (name == plugin.name) return &plugin;
  return nullptr;
}

std::string builtin_names() {
  std::string names;
  for (const powerinfer_plugin& plugin : kPlugins) names += (names.empty() ? "" : ", ") + std::string(plugin.name);
  return names;
}

}  // namespace powerinfer
