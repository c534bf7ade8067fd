// What does a model run on?
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

#include "file.h"
#include "kernels.h"
#include "thread_pool.h"

namespace powerinfer {

// Worker threads and the kernels of one instruction set; shared by the models opened on it.
struct Cpu {
  Cpu(uint32_t thread_count, uint32_t chosen_isa, const Kernels& chosen) : isa(chosen_isa), kernels(chosen), pool(thread_count) {}

  const uint32_t isa;
  const Kernels& kernels;
  ThreadPool pool;
  std::mutex busy;  // held while the pool runs: models of different threads take turns
  std::atomic<uint32_t> model_count{0};
};

// Bytes per second that all threads together read from a buffer: the best of `repetitions` passes, page faults not counted.
double measure_bandwidth(Cpu& cpu, uint64_t size_bytes, uint32_t repetitions);
// The same of a file's mapping, all of it.
double measure_file_bandwidth(Cpu& cpu, const MappedFile& file, uint32_t repetitions);

}  // namespace powerinfer
