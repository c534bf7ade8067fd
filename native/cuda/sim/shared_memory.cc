// __shared__ variables of fixed size.
#include "shared_memory.h"

#include <link.h>

#include <cstdint>
#include <cstring>

namespace cuda_sim {
namespace {

// A library's variables come into being on a thread when it first uses one of them.
thread_local volatile char first_use;

// Where the calling thread has the thread-local variables of the program or library that this code is part of.
struct ThreadLocals {
  void* begin = nullptr;
  size_t bytes = 0;
};

int find_thread_locals(dl_phdr_info* object, size_t, void* found) {
  const uintptr_t here = reinterpret_cast<uintptr_t>(&find_thread_locals);
  bool is_ours = false;
  size_t bytes = 0;
  for (unsigned i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && here >= begin && here < begin + segment.p_memsz) is_ours = true;
    if (segment.p_type == PT_TLS) bytes = segment.p_memsz;
  }
  if (!is_ours) return 0;
  if (object->dlpi_tls_data != nullptr) *static_cast<ThreadLocals*>(found) = {object->dlpi_tls_data, bytes};
  return 1;
}

}  // namespace

void poison_static_shared() {
  first_use = 1;
  ThreadLocals ours;
  dl_iterate_phdr(find_thread_locals, &ours);
  if (ours.begin != nullptr) std::memset(ours.begin, 0xFF, ours.bytes);
}

}  // namespace cuda_sim
