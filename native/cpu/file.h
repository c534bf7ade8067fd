// How do the bytes of a file become readable memory?
#pragma once
#include <cstdint>
#include <string>

namespace powerinfer {

// A regular file, mapped read-only and shared: processes that run the same model share its pages, and nothing is read before it is used.
// A file that another process shortens while it is mapped raises SIGBUS where it is read, as for every program that maps files.
class MappedFile {
 public:
  // Fails with FILE_ERROR if the file is missing, empty, not a regular file, or cannot be mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* bytes() const { return bytes_; }
  uint64_t size_bytes() const { return size_bytes_; }
  // The bytes of a tensor. Fails with INVALID_ARGUMENT if they are not all in the file.
  const uint8_t* tensor(uint64_t offset_bytes, uint64_t tensor_bytes) const;
  // Gives the pages of a range back to the system: they are read again from the file, or its page cache, when next used.
  void forget(const uint8_t* begin, uint64_t size_bytes) const;

 private:
  const uint8_t* bytes_;
  uint64_t size_bytes_;
};

// Writes all of `bytes` into an existing regular file at `offset_bytes`, which grows if it is shorter. Fails with FILE_ERROR, also where the
// process may not write files that large.
void write_at(const std::string& path, uint64_t offset_bytes, const uint8_t* bytes, uint64_t size_bytes);

}  // namespace powerinfer
