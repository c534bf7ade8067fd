// Goal: a process in a container sees what its cgroup allows, not what the host has.
// Method: /proc and /sys of several kinds of machine, as files in a folder of the test's own.
#include "../cpu/machine.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "../cpu/error.h"
#include "test.h"

namespace powerinfer_test {
namespace {

// A folder that stands for "/"; removed with its files.
class FakeRoot {
 public:
  FakeRoot() : path_("/tmp/powerinfer_test_root_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) fail(__FILE__, __LINE__, "cannot create " + path_);
    write("/proc/meminfo", "MemTotal:       1000000 kB\nMemFree: 1 kB\nMemAvailable:    600000 kB\n");
  }
  ~FakeRoot() {
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) std::remove(path->c_str());
    std::remove(path_.c_str());
  }
  void write(const std::string& name, const std::string& text) {
    for (size_t slash = name.find('/', 1); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      if (::mkdir((path_ + name.substr(0, slash)).c_str(), 0700) == 0) made_.push_back(path_ + name.substr(0, slash));
    }
    std::ofstream(path_ + name) << text;
    made_.push_back(path_ + name);
  }
  const std::string& path() const { return path_; }
  powerinfer::Machine read() const { return powerinfer::read_machine(path_); }

 private:
  std::string path_;
  std::vector<std::string> made_;
};

constexpr double kTotal = 1000000.0 * 1024;
constexpr double kAvailable = 600000.0 * 1024;

TEST("read_machine: without a cgroup, the machine's memory") {
#if defined(__linux__)
  const FakeRoot root;
  CHECK_EQUAL(root.read().memory_bytes, kTotal);
  CHECK_EQUAL(root.read().memory_available_bytes, kAvailable);
  CHECK(root.read().core_count >= 1);
#else
  skip("cgroups are Linux's");
#endif
}

#if defined(__linux__)

TEST("read_machine: cgroup v2 limits hold, the tightest of the group and its ancestors") {
  FakeRoot root;
  root.write("/proc/self/cgroup", "0::/outer/inner\n");
  root.write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  root.write("/sys/fs/cgroup/outer/inner/memory.max", "400000000\n");
  root.write("/sys/fs/cgroup/outer/inner/memory.current", "150000000\n");
  root.write("/sys/fs/cgroup/outer/inner/memory.stat", "anon 50000000\nfile 100000000\n");
  root.write("/sys/fs/cgroup/outer/memory.max", "300000000\n");
  root.write("/sys/fs/cgroup/outer/memory.current", "160000000\n");
  root.write("/sys/fs/cgroup/outer/memory.stat", "anon 50000000\nfile 110000000\nshmem 10000000\n");
  root.write("/sys/fs/cgroup/outer/cpu.max", "50000 100000\n");
  CHECK_EQUAL(root.read().core_count, 1u);  // half a core is one thread
  CHECK_EQUAL(root.read().memory_bytes, 300000000.0);
  CHECK_EQUAL(root.read().memory_available_bytes, 240000000.0);  // page cache counts as free, shared memory does not
}

TEST("read_machine: in a container the mount's root answers for a path of the host (v2)") {
  FakeRoot root;
  root.write("/proc/self/cgroup", "0::/docker/0123abc\n");
  root.write("/sys/fs/cgroup/memory.max", "123456789\n");
  CHECK_EQUAL(root.read().memory_bytes, 123456789.0);
  CHECK_EQUAL(root.read().memory_available_bytes, 123456789.0);
}

TEST("read_machine: cgroup v1 limits hold") {
  FakeRoot root;
  root.write("/proc/self/cgroup", "9:memory:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/a\n");
  root.write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "200000000\n");
  root.write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "120000000\n");
  root.write("/sys/fs/cgroup/memory/a/memory.stat", "cache 1\ntotal_cache 75000000\ntotal_shmem 5000000\n");
  root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
  root.write("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  CHECK_EQUAL(root.read().core_count, 1u);
  CHECK_EQUAL(root.read().memory_bytes, 200000000.0);
  CHECK_EQUAL(root.read().memory_available_bytes, 150000000.0);
}

TEST("read_machine: no quota in cgroup v1 is no limit") {
  FakeRoot root;
  root.write("/proc/self/cgroup", "4:cpu,cpuacct:/\n");
  root.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  CHECK_EQUAL(root.read().core_count, FakeRoot().read().core_count);
}

TEST("require_memory() refuses what exceeds the memory that is available, not only what exceeds all of it") {
  const FakeRoot root;
  powerinfer::require_memory(600000ull * 1024, "the buffer", root.path());
  std::string state;
  try {
    powerinfer::require_memory(600000ull * 1024 + 1, "the buffer", root.path());
  } catch (const powerinfer::Failure& failure) {
    CHECK_EQUAL(failure.status, powerinfer_status{POWERINFER_OUT_OF_MEMORY});
    state = failure.state;
  }
  CHECK_EQUAL(state, "the buffer needs 614400001 bytes, 614400000 of 1024000000 are available; ask for less");
}

#endif

}  // namespace
}  // namespace powerinfer_test
