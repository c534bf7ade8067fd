// What went wrong last on this thread?
#include "error.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace powerinfer {
namespace {

thread_local char last_error[1024];

// The longest prefix of `size` bytes or fewer that does not end inside a UTF-8 character.
uint32_t whole_characters(const char* text, uint32_t size, uint32_t capacity) {
  if (size <= capacity) return size;
  uint32_t end = capacity;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return end;
}

// Where a text that was cut off loses its last, perhaps incomplete, character.
uint32_t last_whole_character(const char* text) {
  uint32_t end = static_cast<uint32_t>(std::strlen(text)) - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return end;
}

}  // namespace

void fail(powerinfer_status status, const char* format, ...) {
  Failure failure{status, {}};
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(failure.state, sizeof failure.state, format, arguments);
  va_end(arguments);
  // What was cut off, a long path say, may have been cut inside a character.
  if (length >= static_cast<int>(sizeof failure.state)) failure.state[last_whole_character(failure.state)] = '\0';
  throw failure;
}

void remember_error(const char* action, const char* state) noexcept {
  std::snprintf(last_error, sizeof last_error, "Cannot %s: %s", action, state);
}

uint32_t copy_last_error(char* text, uint32_t capacity) noexcept {
  if (text == nullptr) return 0;
  const uint32_t size = whole_characters(last_error, static_cast<uint32_t>(std::strlen(last_error)), capacity);
  std::memcpy(text, last_error, size);
  return size;
}

}  // namespace powerinfer
