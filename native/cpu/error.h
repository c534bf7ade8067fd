// How does a failure travel from where it is noticed to the caller of the C ABI?
//
// It is thrown as a Failure and caught once, in abi.h: the ABI function knows the action ("bind blk.3 up"), the place that fails knows the
// state ("the tensor needs 1024 bytes ..."); together they make the text of powerinfer_last_error.
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer {

struct Failure {
  powerinfer_status status;
  char state[768];  // what is wrong, and what to do about it; no allocation, because memory may be what is missing
};

// Throws a Failure whose state is formatted as printf does.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(powerinfer_status status, const char* format, ...);

// Keeps "Cannot <action>: <state>" as this thread's last error.
void remember_error(const char* action, const char* state) noexcept;
// Copies it, cut between characters if it is longer than `capacity` bytes; returns the bytes written.
uint32_t copy_last_error(char* text, uint32_t capacity) noexcept;

}  // namespace powerinfer
