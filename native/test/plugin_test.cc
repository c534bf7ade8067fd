// Goal: a plugin library is taken for what it says only after it was checked, and every way to be wrong has an error that says what to do.
// Method: one library for each mistake (test/plugins), loaded through the ABI.
#include <cstdio>
#include <cstring>

#include "../include/powerinfer_plugin.h"
#include "test_plugin.h"

namespace powerinfer_test {
namespace {


std::string text_of(powerinfer_status (*read)(uint32_t, char*, uint32_t, uint32_t*), uint32_t plugin, uint32_t capacity = 64) {
  char text[64];
  uint32_t length = 99;
  CHECK_OK(read(plugin, text, capacity, &length));
  return std::string(text, length);
}

powerinfer_plugin_facts facts_of(uint32_t plugin) {
  powerinfer_plugin_facts facts{};
  facts.struct_size = sizeof facts;
  CHECK_OK(powerinfer_plugin_read(plugin, &facts));
  return facts;
}

TEST("powerinfer_plugin_load: reads what a plugin is and brings") {
  uint32_t plugin = 0, again = 0;
  CHECK_OK(load_plugin(plugin_path("predictor"), &plugin));
  CHECK_OK(load_plugin(plugin_path("predictor"), &again));
  CHECK(plugin != again);
  CHECK_OK(powerinfer_plugin_close(again));
  CHECK_EQUAL(text_of(powerinfer_plugin_name, plugin), std::string("threshold"));
  CHECK_EQUAL(text_of(powerinfer_plugin_name, plugin, 4), std::string("thre"));
  CHECK_EQUAL(text_of(powerinfer_plugin_version, plugin), std::string("3.1.4"));
  const powerinfer_plugin_facts facts = facts_of(plugin);
  CHECK_EQUAL(facts.abi_major, 1u);
  CHECK_EQUAL(facts.abi_minor, 2u);
  CHECK_EQUAL(facts.provides, uint32_t{POWERINFER_PLUGIN_PREDICTOR | POWERINFER_PLUGIN_SELECTS_CPU});
  CHECK_EQUAL(facts.predictor_flags, uint32_t{POWERINFER_PREDICTOR_CONFIRMS});
  CHECK_OK(powerinfer_plugin_close(plugin));
  CHECK_STATUS(powerinfer_plugin_close(plugin), POWERINFER_INVALID_HANDLE);

  CHECK_OK(load_plugin(plugin_path("backend_selects"), &plugin));
  CHECK_EQUAL(facts_of(plugin).provides, uint32_t{POWERINFER_PLUGIN_BACKEND});
  CHECK_EQUAL(facts_of(plugin).backend_flags, uint32_t{POWERINFER_BACKEND_SELECTS});
  CHECK_EQUAL(text_of(powerinfer_plugin_version, plugin), std::string());
  CHECK_OK(powerinfer_plugin_close(plugin));
}

TEST("powerinfer_plugin_load: takes a table that later minor versions have made longer") {
  uint32_t plugin = 0;
  CHECK_OK(load_plugin(plugin_path("newer_minor"), &plugin));
  CHECK_EQUAL(facts_of(plugin).abi_minor, POWERINFER_PLUGIN_ABI_MINOR + 1);
  CHECK_OK(powerinfer_plugin_close(plugin));
}

TEST("powerinfer_plugin_load: says what is wrong with a library, and who is to be updated") {
  const struct {
    const char* name;
    powerinfer_status status;
    const char* state;
  } wrong[] = {
      {"older_major", POWERINFER_UNSUPPORTED, "it speaks plugin ABI 0, this engine 1; update the plugin"},
      {"newer_major", POWERINFER_UNSUPPORTED, "it speaks plugin ABI 2, this engine 1; update the engine"},
      {"no_entry", POWERINFER_UNSUPPORTED, "it does not export powerinfer_plugin_entry; name a library that was built as a plugin"},
      {"refuses", POWERINFER_PLUGIN_FAILED, "its powerinfer_plugin_entry refused plugin ABI 1.2; ask its makers for one that takes it"},
      {"no_size", POWERINFER_PLUGIN_FAILED, "struct_size of its powerinfer_plugin is 8; set it to sizeof"},
      {"short_table", POWERINFER_PLUGIN_FAILED, "struct_size of its powerinfer_plugin is 24, version 1.0 has 56; set it to sizeof"},
      {"short_kernels", POWERINFER_PLUGIN_FAILED, "struct_size of its powerinfer_predictor_kernels is 16, version 1.0 has 48; set it to sizeof"},
      {"nameless", POWERINFER_PLUGIN_FAILED, "its name is empty; it must have 1 to 64 bytes"},
      {"brings_nothing", POWERINFER_PLUGIN_FAILED, "it brings neither a predictor nor a backend"},
      {"missing", POWERINFER_FILE_ERROR, "cannot open shared object file: No such file or directory"},
  };
  for (const auto& library : wrong) {
    uint32_t plugin = 77;
    note(library.name);
    CHECK_STATUS(load_plugin(plugin_path(library.name), &plugin), library.status);
    CHECK_EQUAL(last_error(), "Cannot load the plugin library " + plugin_path(library.name) + ": " + library.state);
    CHECK_EQUAL(plugin, 77u);
  }
}

TEST("powerinfer_plugin_load: a file that is no library fails with the system's words") {
  const std::string path = plugin_path("not_a_library");
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  std::fputs("neurons", file);
  std::fclose(file);
  uint32_t plugin = 77;
  CHECK_STATUS(load_plugin(path, &plugin), POWERINFER_FILE_ERROR);
  CHECK_EQUAL(last_error().find("Cannot load the plugin library " + path + ": "), size_t{0});
  CHECK(last_error().size() > path.size() + 40);
  std::remove(path.c_str());
  CHECK_STATUS(load_plugin("libm.so.6", &plugin), POWERINFER_FILE_ERROR);  // the system's folders are not searched
  CHECK_STATUS(load_plugin("", &plugin), POWERINFER_INVALID_ARGUMENT);
  std::string deep = "/nowhere";
  for (int i = 0; i < 600; ++i) deep += "/é";
  CHECK_STATUS(load_plugin(deep, &plugin), POWERINFER_FILE_ERROR);
  CHECK_EQUAL(last_error().find("Cannot load the plugin library …/é/é"), size_t{0});
  CHECK(last_error().find(": No such file") != std::string::npos);  // the reason is not lost behind it
  CHECK_STATUS(powerinfer_plugin_load(nullptr, 3, &plugin), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(load_plugin(plugin_path("predictor"), nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(plugin, 77u);
}

TEST("plugins, predictors and devices: closed, foreign and invented handles are INVALID_HANDLE everywhere") {
  const powerinfer_model_shape s = small_shape();
  powerinfer_plugin_facts facts{};
  powerinfer_backend_facts device_facts{};
  powerinfer_counters counters{};
  char text[8];
  float x = 0;
  double seconds = 0;
  uint32_t out = 5, cpu = 0;
  const powerinfer_row row{};
  CHECK_OK(powerinfer_cpu_open(1, 0, &cpu));
  for (const uint32_t h : {0u, ~0u, cpu, 4u << 29 | 1u << 16 | 9, 5u << 29 | 1u << 16 | 9, 6u << 29 | 1u << 16 | 9}) {
    const powerinfer_status statuses[] = {
        powerinfer_plugin_read(h, &facts),
        powerinfer_plugin_name(h, text, 8, &out),
        powerinfer_plugin_version(h, text, 8, &out),
        powerinfer_plugin_close(h),
        powerinfer_predictor_new(h, &s, &out),
        powerinfer_predictor_option(h, "a", 1, 0, 0, nullptr, 0),
        powerinfer_predictor_array(h, "a", 1, nullptr, 0),
        powerinfer_predictor_open(h),
        powerinfer_predictor_select(h, 0, 0, &x, nullptr, 1, &out),
        powerinfer_predictor_measure(h, 0, &x, 1, 1, &seconds, &seconds),
        powerinfer_predictor_close(h),
        powerinfer_device_facts(h, 0, &device_facts),
        powerinfer_device_new(h, &s, 0, &out),
        powerinfer_device_option(h, "a", 1, 0, 0, nullptr, 0),
        powerinfer_device_array(h, "a", 1, nullptr, 0),
        powerinfer_device_share(h, 0, &out),
        powerinfer_device_bind(h, 0, 0, 0, 0, 0, 0, 0),
        powerinfer_device_rope(h, &x, 1),
        powerinfer_device_ready(h),
        powerinfer_device_cache_open(h, 1, 0, &out),
        powerinfer_device_cache_close(h, 1),
        powerinfer_device_embed(h, &row, 1),
        powerinfer_device_attend(h, 0, nullptr),
        powerinfer_device_activations(h, 0, &x, 1, &x),
        powerinfer_device_ffn(h, 0, &x, 1, nullptr, 0, &x),
        powerinfer_device_ffn_selected(h, 0, &x, 1, 0, 0, &x),
        powerinfer_device_ffn_wait(h),
        powerinfer_device_merge(h, 0, nullptr),
        powerinfer_device_logits(h, &out, 1, &x),
        powerinfer_device_counters_read(h, &counters),
        powerinfer_device_close(h),
    };
    for (const powerinfer_status& status : statuses) {
      note(std::to_string(&status - statuses));
      CHECK_STATUS(status, POWERINFER_INVALID_HANDLE);
    }
  }
  CHECK_EQUAL(out, 5u);
  CHECK_OK(powerinfer_cpu_close(cpu));
}

}  // namespace
}  // namespace powerinfer_test
