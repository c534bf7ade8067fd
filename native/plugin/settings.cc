// What is a plugin object opened with? Options and arrays, collected by name, then fixed as the structs that the plugin reads.
#include "settings.h"

#include <algorithm>
#include <cstring>

#include "../cpu/error.h"
#include "../cpu/machine.h"

namespace powerinfer {
namespace {

constexpr uint32_t kNameBytesMax = 256;
constexpr uint32_t kTextBytesMax = 1u << 20;

// The element of that name, or a new one.
template <class Element>
Element& named(std::vector<Element>& elements, const std::string& name) {
  const auto found = std::find_if(elements.begin(), elements.end(), [&](const Element& element) { return element.name == name; });
  if (found != elements.end()) return *found;
  elements.emplace_back();
  elements.back().name = name;
  return elements.back();
}

std::string checked_text(const char* text, uint32_t length, uint32_t min, uint32_t max, const char* what) {
  if (text == nullptr && length > 0) fail(POWERINFER_INVALID_ARGUMENT, "%s is NULL", what);
  if (length < min || length > max) fail(POWERINFER_INVALID_ARGUMENT, "%s has %u bytes; it must have %u to %u", what, length, min, max);
  if (length > 0 && std::memchr(text, 0, length) != nullptr) fail(POWERINFER_INVALID_ARGUMENT, "%s contains a NUL", what);
  return length == 0 ? std::string() : std::string(text, length);
}

}  // namespace

std::string checked_setting_name(const char* name, uint32_t length) { return checked_text(name, length, 1, kNameBytesMax, "the name"); }

std::string checked_setting_text(uint32_t kind, const char* text, uint32_t length) {
  return kind == POWERINFER_OPTION_TEXT ? checked_text(text, length, 0, kTextBytesMax, "the text") : std::string();
}

void Settings::check_loose() const {
  if (fixed_) fail(POWERINFER_INVALID_ARGUMENT, "it is open; options and arrays are set before");
}

void Settings::set_option(const std::string& name, uint32_t kind, double number, const std::string& text) {
  check_loose();
  if (kind > POWERINFER_OPTION_BOOLEAN) fail(POWERINFER_INVALID_ARGUMENT, "no option kind has number %u", kind);
  if (kind == POWERINFER_OPTION_BOOLEAN && number != 0 && number != 1) fail(POWERINFER_INVALID_ARGUMENT, "a boolean is %g; it must be 0 or 1", number);
  Option& option = named(options_, name);
  option.kind = kind;
  option.number = kind == POWERINFER_OPTION_TEXT ? 0 : number;
  option.text = text;
}

void Settings::set_array(const std::string& name, const uint8_t* bytes, uint64_t size_bytes) {
  check_loose();
  require_memory(size_bytes, "the array");
  Buffer<uint8_t> copy(std::max<uint64_t>(size_bytes, 1));  // an empty array has an address too
  if (size_bytes > 0) std::memcpy(copy.get(), bytes, size_bytes);
  Array& array = named(arrays_, name);
  array.bytes = std::move(copy);
  array.size_bytes = size_bytes;
}

const powerinfer_plugin_context& Settings::fix() {
  option_structs_.clear();
  for (const Option& option : options_) option_structs_.push_back({option.name.c_str(), option.kind, 0, option.number, option.text.c_str()});
  array_structs_.clear();
  for (const Array& array : arrays_) array_structs_.push_back({array.name.c_str(), array.bytes.get(), static_cast<double>(array.size_bytes)});
  context_ = {sizeof context_, shape_.row_count_max, &shape_, option_structs_.data(), array_structs_.data(),
              static_cast<uint32_t>(options_.size()), static_cast<uint32_t>(arrays_.size())};
  fixed_ = true;
  return context_;
}

}  // namespace powerinfer
