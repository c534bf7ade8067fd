// Goal: bytes reach the file they are for, and a file that cannot hold them is an error and not the end of the process.
// Method: a file in /tmp, and a limit on file sizes of this process's own.
#include "../cpu/file.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "../cpu/error.h"
#include "test.h"

namespace powerinfer_test {
namespace {

// An empty file, removed at the end of the scope.
class TemporaryFile {
 public:
  TemporaryFile() : path("/tmp/powerinfer_test_file_XXXXXX") {
    const int file = ::mkstemp(path.data());
    if (file < 0) fail(__FILE__, __LINE__, "cannot create " + path);
    ::close(file);
  }
  ~TemporaryFile() { ::unlink(path.c_str()); }
  std::string path;
};

// A lower limit on the sizes of files until the end of the scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit lower{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

const std::vector<uint8_t> kBytes(10000, 7);

}  // namespace

TEST("write_at() writes where it is told, and the file grows") {
  const TemporaryFile file;
  powerinfer::write_at(file.path, 5, kBytes.data(), kBytes.size());
  const powerinfer::MappedFile mapped(file.path);
  CHECK_EQUAL(mapped.size_bytes(), uint64_t{10005});
  CHECK_EQUAL(mapped.bytes()[4], uint8_t{0});
  CHECK(std::memcmp(mapped.bytes() + 5, kBytes.data(), kBytes.size()) == 0);
}

TEST("write_at() fails beyond the limit on file sizes, with no signal left behind") {
  const TemporaryFile file;
  const FileSizeLimit limit(4096);
  std::string state;
  try {
    powerinfer::write_at(file.path, 0, kBytes.data(), kBytes.size());
  } catch (const powerinfer::Failure& failure) {
    CHECK_EQUAL(failure.status, powerinfer_status{POWERINFER_FILE_ERROR});
    state = failure.state;
  }
  CHECK_EQUAL(state, file.path + ": File too large");
  sigset_t waiting;
  CHECK(::sigpending(&waiting) == 0 && !::sigismember(&waiting, SIGXFSZ));
}

}  // namespace powerinfer_test
