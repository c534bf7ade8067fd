// What may this process use of the machine it runs on?
#pragma once
#include <cstdint>
#include <string>

namespace powerinfer {

struct Machine {
  uint32_t core_count;            // affinity and cgroup quota respected, at least 1
  double memory_bytes;            // physical, or the cgroup's limit where that is lower
  double memory_available_bytes;  // without swapping, page cache counted as free
};

// Reads /proc and /sys (cgroup v1 and v2) below `root`, a folder; tests give one of their own, everybody else "".
Machine read_machine(const std::string& root = "");

// Fails with OUT_OF_MEMORY if `size_bytes` exceeds the memory that is available now: with overcommit the allocation would succeed and the
// process be killed later. `what` names the allocation in the message; `root` as above.
void require_memory(uint64_t size_bytes, const char* what, const std::string& root = "");

}  // namespace powerinfer
