// Where in a kernel's source something was called: the default argument of what wants to know.
#pragma once

namespace cuda_sim {

struct Place {
  const char* file;
  int line;
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  bool operator==(const Place& other) const { return file == other.file && line == other.line; }
};

}  // namespace cuda_sim
