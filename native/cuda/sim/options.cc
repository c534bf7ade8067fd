// What environment variables say about the simulator.
#include "options.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace cuda_sim {
namespace {

[[noreturn]] void refuse(const char* name, const char* text, const char* wanted) {
  std::fprintf(stderr, "cuda_sim: %s is \"%s\"; it must be %s\n", name, text, wanted);
  std::exit(2);
}

uint64_t number(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (*text == '\0' || *text == '-' || *end != '\0') refuse(name, text, "a whole number");
  return value;
}

bool lazy() {
  const char* const text = std::getenv("CUDA_SIM_STREAM");
  if (text == nullptr || std::strcmp(text, "eager") == 0) return false;
  if (std::strcmp(text, "lazy") != 0) refuse("CUDA_SIM_STREAM", text, "eager or lazy");
  return true;
}

}  // namespace

const Options& options() {
  static const Options read = [] {
    Options o;
    o.seed = number("CUDA_SIM_SEED", 0);
    o.thread_count = std::max(1u, static_cast<unsigned>(number("CUDA_SIM_THREADS", std::min(8u, std::thread::hardware_concurrency()))));
    o.lazy = lazy();
    o.memory_bytes = number("CUDA_SIM_MEMORY", uint64_t{2} << 30);
    o.device_count = static_cast<int>(number("CUDA_SIM_DEVICES", 1));
    o.driver_version = static_cast<int>(number("CUDA_SIM_DRIVER", 13000));
    o.capability = static_cast<int>(number("CUDA_SIM_CAPABILITY", 80));
    return o;
  }();
  return read;
}

}  // namespace cuda_sim
