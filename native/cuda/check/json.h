// How do the programs of this folder write what they found? As JSON whose innermost objects take one line each, so that line tools read them too.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace powerinfer_check {

inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += ' ';
    else out += c;
  }
  return out + '"';
}

class Json {
 public:
  Json& text(const char* name, const std::string& value) { return raw(name, quoted(value)); }
  Json& flag(const char* name, bool value) { return raw(name, value ? "true" : "false"); }
  // What is not finite is null: unknown.
  Json& number(const char* name, double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, value == std::floor(value) && std::abs(value) < 1e15 ? "%.0f" : "%.6g", value);
    return raw(name, std::isfinite(value) ? digits : "null");
  }
  Json& raw(const char* name, const std::string& json) {
    members_ += (members_.empty() ? "" : ", ") + quoted(name) + ": " + json;
    return *this;
  }
  // An array of objects, one a line.
  Json& rows(const char* name, const std::vector<Json>& rows) {
    std::string lines;
    for (const Json& row : rows) lines += (lines.empty() ? "\n  " : ",\n  ") + row.object();
    return raw(name, "[" + lines + "\n]");
  }

  std::string object() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

}  // namespace powerinfer_check
