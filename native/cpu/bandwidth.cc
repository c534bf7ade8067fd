// How fast can this CPU read memory? The floor under every decoded token.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "buffer.h"
#include "cpu.h"

namespace powerinfer {
namespace {

// Large enough that handing out a chunk costs nothing beside reading it (some 30 µs), small enough to balance threads.
constexpr uint64_t kChunkWords = (1u << 20) / sizeof(uint64_t);

// Eight independent sums per 64-byte line: the compiler makes vector loads of it, and memory is the only bound.
uint64_t sum_words(const uint64_t* words, uint64_t count) {
  uint64_t sums[8] = {};
  uint64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (uint64_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  for (; i < count; ++i) sums[0] += words[i];
  uint64_t sum = 0;
  for (const uint64_t lane : sums) sum += lane;
  return sum;
}

uint32_t chunk_count(uint64_t word_count) { return static_cast<uint32_t>((word_count + kChunkWords - 1) / kChunkWords); }

uint64_t chunk_size(uint32_t chunk, uint64_t word_count) { return std::min(kChunkWords, word_count - chunk * kChunkWords); }

// Bytes per second of the fastest of `repetitions` passes over the words.
double read_bandwidth(Cpu& cpu, const uint64_t* words, uint64_t word_count, uint32_t repetitions) {
  std::atomic<uint64_t> total{0};  // keeps the sums from being optimized away
  double best_s = 1e30;
  for (uint32_t repetition = 0; repetition < repetitions; ++repetition) {
    const auto start = std::chrono::steady_clock::now();
    cpu.pool.for_each(chunk_count(word_count), [&](uint32_t chunk, uint32_t) {
      const uint64_t sum = sum_words(&words[chunk * kChunkWords], chunk_size(chunk, word_count));
      total.fetch_add(sum, std::memory_order_relaxed);
    });
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best_s = std::min(best_s, elapsed.count());
  }
  return static_cast<double>(word_count * sizeof(uint64_t)) / std::max(best_s, 1e-9);
}

}  // namespace

double measure_bandwidth(Cpu& cpu, uint64_t size_bytes, uint32_t repetitions) {
  const uint64_t word_count = size_bytes / sizeof(uint64_t);
  const Buffer<uint64_t> words(word_count);
  // Touch every page first. Distinct values: pages of zeros could share one physical page.
  cpu.pool.for_each(chunk_count(word_count), [&](uint32_t chunk, uint32_t) {
    std::memset(&words[chunk * kChunkWords], 1 + chunk % 250, chunk_size(chunk, word_count) * sizeof(uint64_t));
  });
  return read_bandwidth(cpu, words.get(), word_count, repetitions);
}

double measure_file_bandwidth(Cpu& cpu, const MappedFile& file, uint32_t repetitions) {
  // A mapping begins on a page's boundary. The first pass, which faults pages in, is not one of the `repetitions`.
  const auto* const words = reinterpret_cast<const uint64_t*>(file.bytes());
  const uint64_t word_count = file.size_bytes() / sizeof(uint64_t);
  read_bandwidth(cpu, words, word_count, 1);
  return read_bandwidth(cpu, words, word_count, repetitions);
}

}  // namespace powerinfer
