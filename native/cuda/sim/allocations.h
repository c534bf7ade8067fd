// Which memory has been handed out, and whose it is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>

#include "guarded_memory.h"

namespace cuda_sim {

constexpr int kHost = -1;

class Allocations {
 public:
  static Allocations& all();

  // `owner` is a device or kHost. Null when there is no memory left.
  uint8_t* allocate(size_t bytes, int owner);
  // False when nothing of that kind begins there.
  bool release(void* memory, bool of_host);

  uint64_t used_bytes(int device);
  // Whether `memory` lies in an allocation of that kind, and if so whether `bytes` from there on do too.
  enum class Holds { nothing, part, all };
  Holds holds(const void* memory, size_t bytes, bool of_host);

 private:
  struct Allocation {
    GuardedMemory memory;
    int owner;
  };
  std::mutex mutex_;
  std::map<const uint8_t*, Allocation> by_begin_;
  // What was freed last, so that who still uses it is caught; takes address space, no memory.
  std::deque<GuardedMemory> freed_;
  uint64_t freed_bytes_ = 0;
  std::map<int, uint64_t> used_bytes_;
};

}  // namespace cuda_sim
