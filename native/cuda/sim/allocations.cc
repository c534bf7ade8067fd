// Which memory has been handed out, and whose it is.
#include "allocations.h"

#include <new>

#include "options.h"

namespace cuda_sim {
namespace {

// Address space of what was freed last.
constexpr uint64_t kFreedBytesMax = 64u << 20;

}  // namespace

Allocations& Allocations::all() {
  static Allocations allocations;
  return allocations;
}

uint8_t* Allocations::allocate(size_t bytes, int owner) try {
  std::lock_guard<std::mutex> lock(mutex_);
  uint64_t& used = used_bytes_[owner];
  if (owner != kHost && bytes > options().memory_bytes - used) return nullptr;
  GuardedMemory memory(bytes);
  uint8_t* const begin = memory.begin();
  by_begin_.emplace(begin, Allocation{std::move(memory), owner});
  used += bytes;
  return begin;
} catch (const std::bad_alloc&) {
  return nullptr;
}

bool Allocations::release(void* memory, bool of_host) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_begin_.find(static_cast<const uint8_t*>(memory));
  if (found == by_begin_.end() || (found->second.owner == kHost) != of_host) return false;
  used_bytes_[found->second.owner] -= found->second.memory.size();
  GuardedMemory& freed = freed_.emplace_back(std::move(found->second.memory));
  by_begin_.erase(found);
  freed.close();
  freed_bytes_ += freed.mapped_bytes();
  while (freed_bytes_ > kFreedBytesMax) {
    freed_bytes_ -= freed_.front().mapped_bytes();
    freed_.pop_front();
  }
  return true;
}

uint64_t Allocations::used_bytes(int device) {
  std::lock_guard<std::mutex> lock(mutex_);
  return used_bytes_[device];
}

Allocations::Holds Allocations::holds(const void* memory, size_t bytes, bool of_host) {
  std::lock_guard<std::mutex> lock(mutex_);
  const uint8_t* const begin = static_cast<const uint8_t*>(memory);
  auto found = by_begin_.upper_bound(begin);
  if (found == by_begin_.begin()) return Holds::nothing;
  --found;
  const Allocation& allocation = found->second;
  const size_t offset = static_cast<size_t>(begin - found->first);
  if ((allocation.owner == kHost) != of_host || offset >= allocation.memory.size()) return Holds::nothing;
  return bytes <= allocation.memory.size() - offset ? Holds::all : Holds::part;
}

}  // namespace cuda_sim
