// Which object does a u32 of the C ABI name?
//
// A handle is kind (3 bits), slot (13 bits) and generation (16 bits). Closing raises the slot's generation, so an old handle never names a
// newer object; a slot that has used up its generations is retired, so this holds for ever and not only for 65,535 openings.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "error.h"

namespace powerinfer {

template <class T>
class HandleTable {
 public:
  // `kind` < 8 keeps the handles of several tables apart; `name` is for messages ("model").
  HandleTable(uint32_t kind, const char* name) : kind_(kind), name_(name) {}

  uint32_t add(std::shared_ptr<T> object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) {
      if (slots_.size() > kSlotMax) fail(POWERINFER_OUT_OF_MEMORY, "%u handles of kind %s are open or used up", kSlotMax + 1, name_);
      free_.reserve(slots_.size() + 1);  // so that `remove` cannot fail
      slots_.push_back({1, nullptr});
      free_.push_back(static_cast<uint32_t>(slots_.size() - 1));
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot].object = std::move(object);
    return kind_ << 29 | slot << 16 | slots_[slot].generation;
  }

  // The object stays alive while the caller holds it, even if another thread closes the handle. Fails with INVALID_HANDLE.
  std::shared_ptr<T> get(uint32_t handle) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return slots_[open_slot(handle)].object;
  }

  // Closes the handle and returns the object, so that its destructor runs outside the lock. Fails with INVALID_HANDLE.
  std::shared_ptr<T> remove(uint32_t handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uint32_t slot = open_slot(handle);
    if (++slots_[slot].generation <= kGenerationMax) free_.push_back(slot);
    return std::move(slots_[slot].object);
  }

 private:
  static constexpr uint32_t kSlotMax = (1u << 13) - 1;
  static constexpr uint32_t kGenerationMax = (1u << 16) - 1;

  struct Slot {
    uint32_t generation;
    std::shared_ptr<T> object;
  };

  uint32_t open_slot(uint32_t handle) const {
    const uint32_t slot = handle >> 16 & kSlotMax;
    const bool open = handle >> 29 == kind_ && slot < slots_.size() && slots_[slot].object != nullptr &&
                      slots_[slot].generation == (handle & kGenerationMax);
    if (!open) fail(POWERINFER_INVALID_HANDLE, "%u is not an open %s", handle, name_);
    return slot;
  }

  const uint32_t kind_;
  const char* const name_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace powerinfer
