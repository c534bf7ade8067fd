// Calls of powerinfer.h that must succeed, and handles that close themselves.
#pragma once
#include <stdexcept>
#include <string>
#include <utility>

#include "../../include/powerinfer.h"

namespace powerinfer_check {

struct LibraryError : std::runtime_error {
  LibraryError(powerinfer_status given, const std::string& words) : std::runtime_error(words), status(given) {}
  const powerinfer_status status;
};

// Throws the library's words unless `status` is POWERINFER_OK.
inline void require(powerinfer_status status) {
  if (status == POWERINFER_OK) return;
  char words[1024];
  throw LibraryError(status, std::string(words, powerinfer_last_error(words, sizeof words)));
}

inline uint32_t length_of(const std::string& text) { return static_cast<uint32_t>(text.size()); }

// A handle of the library's, closed with what owns it.
class Handle {
 public:
  using Close = powerinfer_status (*)(uint32_t);

  explicit Handle(Close close) : close_(close) {}
  Handle(Handle&& other) noexcept : close_(other.close_), number_(std::exchange(other.number_, 0)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(close_, other.close_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Handle() {
    if (number_ != 0) close_(number_);
  }

  uint32_t* out() { return &number_; }
  operator uint32_t() const { return number_; }

 private:
  Close close_;
  uint32_t number_ = 0;
};

}  // namespace powerinfer_check
