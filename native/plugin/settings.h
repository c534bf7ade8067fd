// What is a plugin object opened with? Options and arrays, collected by name, then fixed as the structs that the plugin reads.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../cpu/buffer.h"
#include "../include/powerinfer_plugin.h"

namespace powerinfer {

class Settings {
 public:
  explicit Settings(const powerinfer_model_shape& shape) : shape_(shape) {}
  Settings(const Settings&) = delete;

  // Each replaces what has the name. Both fail with INVALID_ARGUMENT, and once context() was made.
  void set_option(const std::string& name, uint32_t kind, double number, const std::string& text);
  void set_array(const std::string& name, const uint8_t* bytes, uint64_t size_bytes);

  // The structs, which live as long as this object. `fix` may be undone by `loosen` while no plugin holds them.
  const powerinfer_plugin_context& fix();
  void loosen() { fixed_ = false; }
  // What `fix` has made.
  const powerinfer_plugin_context& fixed() const { return context_; }

 private:
  struct Option {
    std::string name;
    uint32_t kind;
    double number;
    std::string text;
  };
  struct Array {
    std::string name;
    Buffer<uint8_t> bytes;
    uint64_t size_bytes;
  };

  void check_loose() const;

  const powerinfer_model_shape shape_;
  std::vector<Option> options_;
  std::vector<Array> arrays_;
  bool fixed_ = false;
  std::vector<powerinfer_option> option_structs_;
  std::vector<powerinfer_array> array_structs_;
  powerinfer_plugin_context context_{};
};

// A name of `length` bytes. Fails with INVALID_ARGUMENT if it is NULL, empty, longer than 256 bytes or holds a NUL.
std::string checked_setting_name(const char* name, uint32_t length);
// A text of `length` bytes, "" unless `kind` is TEXT. Fails with INVALID_ARGUMENT if it is NULL, longer than 2^20 bytes or holds a NUL.
std::string checked_setting_text(uint32_t kind, const char* text, uint32_t length);

}  // namespace powerinfer
