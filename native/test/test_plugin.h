// The plugin libraries of test/plugins, loaded and opened for tests.
#pragma once
#include <cstdint>
#include <string>

#include "tiny_model.h"

namespace powerinfer_test {

// The path of test/plugins' variant of that name; CMakeLists.txt lists them.
inline std::string plugin_path(const std::string& name) { return POWERINFER_TEST_PLUGINS "/" + name + ".so"; }

inline powerinfer_status load_plugin(const std::string& path, uint32_t* plugin) {
  return powerinfer_plugin_load(path.data(), static_cast<uint32_t>(path.size()), plugin);
}

inline powerinfer_status builtin_plugin(const std::string& name, uint32_t* plugin) {
  return powerinfer_plugin_builtin(name.data(), static_cast<uint32_t>(name.size()), plugin);
}

struct Builtin {
  std::string name;
};

// A predictor of the plugin `library`, not yet open; closed with this.
class TestPredictor {
 public:
  TestPredictor(const powerinfer_model_shape& shape, const Builtin& builtin) {
    uint32_t plugin = 0;
    CHECK_OK(builtin_plugin(builtin.name, &plugin));
    CHECK_OK(powerinfer_predictor_new(plugin, &shape, &handle));
    CHECK_OK(powerinfer_plugin_close(plugin));
  }
  explicit TestPredictor(const powerinfer_model_shape& shape, const std::string& library = "predictor") {
    uint32_t plugin = 0;
    CHECK_OK(load_plugin(plugin_path(library), &plugin));
    CHECK_OK(powerinfer_predictor_new(plugin, &shape, &handle));
    CHECK_OK(powerinfer_plugin_close(plugin));  // what it opened lives on
  }
  ~TestPredictor() { powerinfer_predictor_close(handle); }
  TestPredictor(const TestPredictor&) = delete;

  powerinfer_status option(const std::string& name, double number, uint32_t kind = POWERINFER_OPTION_NUMBER) const {
    return powerinfer_predictor_option(handle, name.data(), static_cast<uint32_t>(name.size()), kind, number, nullptr, 0);
  }
  powerinfer_status text(const std::string& name, const std::string& value) const {
    return powerinfer_predictor_option(handle, name.data(), static_cast<uint32_t>(name.size()), POWERINFER_OPTION_TEXT, 0, value.data(),
                                       static_cast<uint32_t>(value.size()));
  }
  powerinfer_status array(const std::string& name, const std::vector<uint32_t>& words) const {
    return powerinfer_predictor_array(handle, name.data(), static_cast<uint32_t>(name.size()), words.data(), 4.0 * static_cast<double>(words.size()));
  }
  template <class T>
  powerinfer_status values(const std::string& name, const std::vector<T>& values) const {
    return powerinfer_predictor_array(handle, name.data(), static_cast<uint32_t>(name.size()), values.data(),
                                      static_cast<double>(values.size() * sizeof(T)));
  }
  powerinfer_status open() const { return powerinfer_predictor_open(handle); }

  uint32_t handle = 0;
};

// What the threshold predictor of test/plugins names: neuron n where hidden[n % hidden_width] > threshold.
inline std::vector<uint32_t> above(const powerinfer_model_shape& s, const std::vector<float>& hidden, uint32_t row_count, float threshold) {
  const uint32_t words = (s.ffn_width + 31) / 32;
  std::vector<uint32_t> active(uint64_t{row_count} * words);
  for (uint32_t row = 0; row < row_count; ++row) {
    for (uint32_t n = 0; n < s.ffn_width; ++n) {
      const bool named = hidden[row * s.hidden_width + n % s.hidden_width] > threshold;
      active[row * words + n / 32] |= (named ? 1u : 0u) << n % 32;
    }
  }
  return active;
}

// small_shape with other widths.
inline powerinfer_model_shape shape_of(uint32_t hidden_width, uint32_t ffn_width) {
  powerinfer_model_shape s = small_shape();
  s.hidden_width = hidden_width;
  s.head_width = hidden_width / s.head_count;
  s.rope_width = s.head_width / 2 * 2;
  s.ffn_width = ffn_width;
  return s;
}

inline std::vector<float> rows_for(Random& random, uint64_t count) {
  std::vector<float> rows(count);
  for (float& value : rows) value = random.uniform(-1, 1);
  return rows;
}

// What the predictor names for these rows; `cpu` may be 0.
inline std::vector<uint32_t> select(const TestPredictor& predictor, const powerinfer_model_shape& s, uint32_t cpu, uint32_t block, const std::vector<float>& hidden) {
  const uint32_t rows = static_cast<uint32_t>(hidden.size() / s.hidden_width);
  std::vector<uint32_t> active(uint64_t{rows} * ((s.ffn_width + 31) / 32));
  CHECK_OK(powerinfer_predictor_select(predictor.handle, cpu, block, hidden.data(), nullptr, rows, active.data()));
  return active;
}

}  // namespace powerinfer_test
