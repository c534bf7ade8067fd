// Bytes that end at a page nobody may touch.
#include "guarded_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <utility>

#include "address_checker.h"

namespace cuda_sim {

GuardedMemory::GuardedMemory(size_t bytes) : bytes_(bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t usable = (bytes + page - 1) / page * page;
  mapped_bytes_ = usable + page;
  void* const mapped = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<uint8_t*>(mapped);
  mprotect(mapping_ + usable, page, PROT_NONE);
  begin_ = mapping_ + usable - (bytes + 15) / 16 * 16;
  forbid(mapping_, usable);
  permit(begin_, bytes);
  poison();
}

GuardedMemory::~GuardedMemory() { release(); }

GuardedMemory::GuardedMemory(GuardedMemory&& other) noexcept { *this = std::move(other); }

GuardedMemory& GuardedMemory::operator=(GuardedMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(begin_, other.begin_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void GuardedMemory::poison() { std::memset(begin_, 0xFF, bytes_); }

void GuardedMemory::close() {
  forbid(begin_, bytes_);
  mmap(mapping_, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void GuardedMemory::release() {
  if (mapping_ == nullptr) return;
  permit(mapping_, mapped_bytes_);
  munmap(mapping_, mapped_bytes_);
}

}  // namespace cuda_sim
