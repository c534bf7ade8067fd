// What may this process use of the machine it runs on?
#include "machine.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "error.h"

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace powerinfer {
namespace {

#if defined(__linux__)

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// The number after `key` in a file of "key value" lines ("MemTotal: 12 kB"), or `missing`.
double number_after(const std::string& path, const std::string& key, double missing) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    double value;
    if (words >> word && word == key && words >> value) return value;
  }
  return missing;
}

// The first number of a file, or `missing`: also where cgroup v2 says "max".
double first_number(const std::string& path, double missing) {
  std::ifstream file(path);
  double value;
  return file >> value ? value : missing;
}

struct Limits {
  double core_count = kUnlimited;
  double memory_bytes = kUnlimited;
  double memory_available_bytes = kUnlimited;

  void tighten(double cores, double memory, double used) {
    core_count = std::min(core_count, cores);
    memory_bytes = std::min(memory_bytes, memory);
    memory_available_bytes = std::min(memory_available_bytes, std::max(0.0, memory - used));
  }
};

// Bytes of a group's page cache that the system gives up when somebody needs memory. Shared memory counts as cache, but has nowhere to go.
double dropped_on_demand(const std::string& group, const char* cache, const char* shared) {
  return number_after(group + "/memory.stat", cache, 0) - number_after(group + "/memory.stat", shared, 0);
}

void apply_v2(const std::string& group, Limits& limits) {
  double quota = kUnlimited;
  double period = 1;
  std::ifstream cpu(group + "/cpu.max");
  if (!(cpu >> quota >> period)) quota = kUnlimited;
  const double used = first_number(group + "/memory.current", 0) - dropped_on_demand(group, "file", "shmem");
  limits.tighten(quota / period, first_number(group + "/memory.max", kUnlimited), std::max(0.0, used));
}

void apply_v1_cpu(const std::string& group, Limits& limits) {
  const double quota = first_number(group + "/cpu.cfs_quota_us", -1);
  const double period = first_number(group + "/cpu.cfs_period_us", 100000);
  if (quota > 0 && period > 0) limits.tighten(quota / period, kUnlimited, 0);
}

void apply_v1_memory(const std::string& group, Limits& limits) {
  const double used = first_number(group + "/memory.usage_in_bytes", 0) - dropped_on_demand(group, "total_cache", "total_shmem");
  limits.tighten(kUnlimited, first_number(group + "/memory.limit_in_bytes", kUnlimited), std::max(0.0, used));
}

// Calls `apply` for a cgroup and its ancestors: each may hold a limit. In a container the path may name a folder of the host that is not
// mounted here; then only the mount's root answers, which is this container's group.
template <class Apply>
void walk_up(const std::string& mount, std::string group, Limits& limits, Apply apply) {
  for (;;) {
    apply(mount + group, limits);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.resize(slash);
  }
}

Limits read_cgroups(const std::string& root) {
  Limits limits;
  const std::string mount = root + "/sys/fs/cgroup";
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // "0::/user.slice" (v2) or "4:cpu,cpuacct:/docker/1f" (v1)
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers == ",,") walk_up(mount, group, limits, apply_v2);
    if (controllers.find(",cpu,") != std::string::npos) walk_up(mount + "/cpu", group, limits, apply_v1_cpu);
    if (controllers.find(",memory,") != std::string::npos) walk_up(mount + "/memory", group, limits, apply_v1_memory);
  }
  return limits;
}

uint32_t affinity_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<uint32_t>(CPU_COUNT(&set));
  return std::thread::hardware_concurrency();  // more than 1024 cores do not fit the set
}

#endif

}  // namespace

#if defined(__linux__)

Machine read_machine(const std::string& root) {
  const Limits limits = read_cgroups(root);
  const std::string meminfo = root + "/proc/meminfo";
  const double total = number_after(meminfo, "MemTotal:", 0) * 1024;
  const double available = number_after(meminfo, "MemAvailable:", total / 1024) * 1024;
  // A quota of 1.5 cores keeps two threads busy three quarters of the time, which is faster than one.
  const double cores = std::min<double>(affinity_count(), std::ceil(limits.core_count));
  return {static_cast<uint32_t>(std::max(1.0, cores)), std::min(total, limits.memory_bytes), std::min(available, limits.memory_available_bytes)};
}

#else

Machine read_machine(const std::string&) {
  uint64_t memory_bytes = 0;
#if defined(__APPLE__)
  size_t size = sizeof memory_bytes;
  sysctlbyname("hw.memsize", &memory_bytes, &size, nullptr, 0);
#endif
  const double memory = static_cast<double>(memory_bytes);
  return {std::max(1u, std::thread::hardware_concurrency()), memory, memory};
}

#endif

void require_memory(uint64_t size_bytes, const char* what, const std::string& root) {
  const Machine machine = read_machine(root);
  if (machine.memory_bytes > 0 && static_cast<double>(size_bytes) > machine.memory_available_bytes) {
    fail(POWERINFER_OUT_OF_MEMORY, "%s needs %.0f bytes, %.0f of %.0f are available; ask for less",
         what, static_cast<double>(size_bytes), machine.memory_available_bytes, machine.memory_bytes);
  }
}

}  // namespace powerinfer
