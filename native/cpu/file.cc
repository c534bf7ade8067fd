// How do the bytes of a file become readable memory?
#include "file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace powerinfer {
namespace {

// An open descriptor of a regular file, closed at the end of the scope.
class Descriptor {
 public:
  // O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever; regular files ignore the flag.
  Descriptor(const std::string& path, int flags) : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) refuse();
    struct stat status;
    const bool known = ::fstat(descriptor_, &status) == 0;
    if (known && S_ISREG(status.st_mode)) {
      size_bytes = static_cast<uint64_t>(status.st_size);
      return;
    }
    const int reason = errno;
    ::close(descriptor_);
    if (!known) fail(POWERINFER_FILE_ERROR, "%s: %s", path.c_str(), std::strerror(reason));
    fail(POWERINFER_FILE_ERROR, "%s is %s; name a regular file", path.c_str(), S_ISDIR(status.st_mode) ? "a directory" : "not a file");
  }
  ~Descriptor() { ::close(descriptor_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  operator int() const { return descriptor_; }
  [[noreturn]] void refuse() const { fail(POWERINFER_FILE_ERROR, "%s: %s", path_.c_str(), std::strerror(errno)); }

  uint64_t size_bytes = 0;

 private:
  const std::string& path_;
  const int descriptor_;
};

// While it lives, writing beyond the limit on file sizes (RLIMIT_FSIZE) is an error of write and does not end the process: SIGXFSZ, which the
// kernel sends to the writing thread, waits and is taken back.
class FileSizeSignalHeld {
 public:
  FileSizeSignalHeld() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~FileSizeSignalHeld() {
    sigset_t pending;
    int taken;
    if (!sigismember(&before_, SIGXFSZ) && sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ)) sigwait(&signal_, &taken);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  FileSizeSignalHeld(const FileSizeSignalHeld&) = delete;
  FileSizeSignalHeld& operator=(const FileSizeSignalHeld&) = delete;

 private:
  sigset_t signal_;
  sigset_t before_;
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  if (file.size_bytes == 0) fail(POWERINFER_FILE_ERROR, "%s is empty", path.c_str());
  void* const address = ::mmap(nullptr, file.size_bytes, PROT_READ, MAP_SHARED, file, 0);
  if (address == MAP_FAILED) file.refuse();
  bytes_ = static_cast<const uint8_t*>(address);
  size_bytes_ = file.size_bytes;
}

MappedFile::~MappedFile() { ::munmap(const_cast<uint8_t*>(bytes_), size_bytes_); }

const uint8_t* MappedFile::tensor(uint64_t offset_bytes, uint64_t tensor_bytes) const {
  if (offset_bytes > size_bytes_ || tensor_bytes > size_bytes_ - offset_bytes) {
    fail(POWERINFER_INVALID_ARGUMENT, "the tensor needs %.0f bytes at offset %.0f, the file has %.0f", static_cast<double>(tensor_bytes),
         static_cast<double>(offset_bytes), static_cast<double>(size_bytes_));
  }
  return bytes_ + offset_bytes;
}

void MappedFile::forget(const uint8_t* begin, uint64_t size_bytes) const {
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t from = (static_cast<uint64_t>(begin - bytes_) + page - 1) / page * page;
  const uint64_t to = static_cast<uint64_t>(begin - bytes_ + size_bytes) / page * page;
  // Only a hint: where it is refused, the pages stay until memory is short.
  if (from < to) (void)::madvise(const_cast<uint8_t*>(bytes_) + from, to - from, MADV_DONTNEED);
}

void write_at(const std::string& path, uint64_t offset_bytes, const uint8_t* bytes, uint64_t size_bytes) {
  const Descriptor file(path, O_RDWR);
  const FileSizeSignalHeld held;
  for (uint64_t done = 0; done < size_bytes;) {
    const uint64_t piece = std::min<uint64_t>(size_bytes - done, 1u << 30);
    const ssize_t written = ::pwrite(file, bytes + done, piece, static_cast<off_t>(offset_bytes + done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) file.refuse();
    done += static_cast<uint64_t>(written);
  }
}

}  // namespace powerinfer
