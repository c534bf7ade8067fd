// A function on a stack of its own, which can stop in the middle and go on later: what a thread of a kernel runs on.
#pragma once
#include <cstddef>

namespace cuda_sim {

class Fiber {
 public:
  // `entry` must never return; it may suspend as often as it likes. A fiber is resumed by one OS thread only, always the same.
  Fiber(void (*entry)(void* context), void* context);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the fiber until it suspends.
  void resume();
  // Called on the fiber: goes on where resume() was called.
  void suspend();

 private:
  [[noreturn]] static void begin();

  void (*entry_)(void*);
  void* context_;
  char* mapping_;
  char* stack_;  // above a guard page
  void* stack_pointer_ = nullptr;
  void* owner_stack_pointer_ = nullptr;

  // Used under sanitizers only.
  void* thread_state_ = nullptr;
  void* owner_thread_state_ = nullptr;
  void* fake_stack_ = nullptr;
  void* owner_fake_stack_ = nullptr;
  const void* owner_stack_ = nullptr;
  size_t owner_stack_bytes_ = 0;
};

}  // namespace cuda_sim
