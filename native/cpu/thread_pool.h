// Worker threads that share loops: they spin briefly for the next one, then sleep.
//
// Made for machines that have other things to do: workers keep off the caller's core (caller_core.h) and give their own up before the scheduler
// takes it from them in the middle of a chunk.
#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

namespace powerinfer {

class ThreadPool {
 public:
  // `thread_count` counts the calling thread, which works too. Throws std::system_error if threads cannot be started.
  explicit ThreadPool(uint32_t thread_count);
  ~ThreadPool();
  uint32_t thread_count() const;

  // Runs task(context, chunk, thread) for every chunk < chunk_count, on all threads, and returns when the last one is done.
  // Chunks are handed out one by one, so a thread that lost its core to another process delays one chunk only.
  // Loops of several callers run one after another; a loop started inside a chunk runs there and then. `task` must not throw.
  using Task = void (*)(void* context, uint32_t chunk, uint32_t thread);
  void run(uint32_t chunk_count, Task task, void* context);

  template <class F>
  void for_each(uint32_t chunk_count, F&& body) {
    run(chunk_count, [](void* f, uint32_t chunk, uint32_t thread) { (*static_cast<std::remove_reference_t<F>*>(f))(chunk, thread); }, &body);
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace powerinfer
