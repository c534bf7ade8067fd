// How fast are the matmul and accumulate kernels here, beside the bandwidth of this machine?
//   powerinfer_kernel_bench [part of a type's name]
// Decode: one row through 2048 × 5632 matrices, more of them than fit the caches, GB/s of weights. Prefill: 64 rows, GFLOP/s. Then `down` of
// some shares of the neurons, from by-neuron rows and repacked, two threads.
#include <chrono>
#include <cstdio>
#include <numeric>
#include "../cpu/repack.h"
#include "../cpu/resident.h"
#include "../include/powerinfer.h"
#include "kernel_inputs.h"

namespace powerinfer_test {
std::vector<Case>& cases() {
  static std::vector<Case> none;
  return none;
}
void fail(const char*, int, const std::string&) {}
void note(const std::string&) {}
void skip(const std::string&) {}
}  // namespace powerinfer_test

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

constexpr uint32_t kWidth = 2048, kRowsOfMatrix = 5632;

// The best of fifteen runs, seconds.
template <class F>
double seconds(F&& f) {
  double best = 1e9;
  for (int i = 0; i < 15; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// Every matrix once, cut as the engine cuts it.
double run_matmul(ThreadPool& pool, MatmulKernel kernel, const std::vector<std::vector<uint8_t>>& matrices, uint32_t type, const Rows& x,
                  std::vector<float>& out, bool panels = false) {
  const uint64_t bytes = row_bytes(type, kWidth);
  const uint32_t step = static_cast<uint32_t>(128 * 1024 / bytes) / 8 * 8;
  return seconds([&] {
    for (const auto& matrix : matrices)
      pool.for_each((kRowsOfMatrix + step - 1) / step, [&](uint32_t chunk, uint32_t) {
        const uint32_t first = chunk * step;
        kernel({matrix.data(), bytes, nullptr, first, std::min(step, kRowsOfMatrix - first), x, out.data(), kRowsOfMatrix,
                panels ? matrix.data() : nullptr});
      });
  });
}

// Down rows of some neurons, in four slices of columns as two threads would.
double run_accumulate(ThreadPool& pool, AccumulateKernel kernel, const std::vector<std::vector<uint8_t>>& matrices, uint32_t type,
                      const std::vector<uint32_t>& neurons, const Rows& x, std::vector<float>& out) {
  return seconds([&] {
    for (const auto& matrix : matrices)
      pool.for_each(kWidth / 512, [&](uint32_t chunk, uint32_t) {
        kernel({matrix.data(), row_bytes(type, kWidth), kWidth, neurons.data(), static_cast<uint32_t>(neurons.size()), x, chunk * 512,
                chunk * 512 + 512, out.data(), kWidth});
      });
  });
}

void print_bandwidth(uint32_t threads) {
  uint32_t cpu = 0;
  double bytes_per_s = 0;
  if (powerinfer_cpu_open(threads, POWERINFER_ISA_AUTO, &cpu) != POWERINFER_OK) return;
  powerinfer_cpu_measure_bandwidth(cpu, 512e6, 5, &bytes_per_s);
  powerinfer_cpu_close(cpu);
  std::printf("read bandwidth, %u threads: %.1f GB/s\n", threads, bytes_per_s * 1e-9);
}

void print_type(uint32_t type) {
  Random random(type + 1);
  const uint64_t matrix_bytes = row_bytes(type, uint64_t{kWidth} * kRowsOfMatrix);
  const uint32_t matrix_count = static_cast<uint32_t>(192e6 / static_cast<double>(matrix_bytes)) + 1;
  const std::vector<std::vector<uint8_t>> matrices(matrix_count, some_weights(type, uint64_t{kWidth} * kRowsOfMatrix, random, Values::kOrdinary));
  const Activations one(1, kWidth, random, Values::kOrdinary), many(64, kWidth, random, Values::kOrdinary);
  std::vector<float> out(uint64_t{64} * kRowsOfMatrix);

  ThreadPool single(1), both(2);
  std::vector<std::vector<uint8_t>> repacked(matrix_count, std::vector<uint8_t>(repacked_down_bytes(type, kWidth, kRowsOfMatrix)));
  const double repack_s = seconds([&] { repack_down(both, type, kWidth, kRowsOfMatrix, matrices[0].data(), repacked[0].data()); });
  for (auto& matrix : repacked) matrix = repacked[0];

  std::printf("%s: repacking %.0f million weights/s with 2 threads\n", name_of(type), 1e-6 * kWidth * kRowsOfMatrix / repack_s);
  const double total = static_cast<double>(matrix_bytes) * matrix_count * 1e-9;
  for (uint32_t wanted = POWERINFER_ISA_SCALAR; wanted <= POWERINFER_ISA_AVX512_VNNI; ++wanted) {
    uint32_t isa = wanted;
    const Kernels* kernels = kernels_for(isa);
    if (!kernels || wanted == POWERINFER_ISA_SCALAR) continue;
    const double one_thread = run_matmul(single, kernels->matmul[type], matrices, type, one.rows, out);
    const double two_threads = run_matmul(both, kernels->matmul[type], matrices, type, one.rows, out);
    const double in_panels = has_panels(type) ? run_matmul(both, kernels->matmul[type], matrices, type, one.rows, out, true) : two_threads;
    const double batched = run_matmul(both, kernels->matmul[type], {matrices[0]}, type, many.rows, out);
    std::printf("  %-13s decode %5.1f GB/s (1 thread) %5.1f (2) %5.1f (2, panels)   prefill %6.1f GFLOP/s (2)\n", kIsaNames[wanted], total / one_thread,
                total / two_threads, total / in_panels, 2e-9 * kWidth * kRowsOfMatrix * 64 / batched);
    for (const uint32_t share : {5u, 10u, 20u, 30u, 50u, 100u}) {
      std::vector<uint32_t> neurons;
      std::vector<float> activations(kRowsOfMatrix);
      for (uint32_t n = 0; n < kRowsOfMatrix; ++n) {
        if (random.below(100) >= share) continue;
        neurons.push_back(n);
        activations[n] = random.uniform(0.1f, 1);
      }
      const Activations x(activations, 1, kRowsOfMatrix);
      const uint32_t count = static_cast<uint32_t>(neurons.size());
      const double by_row = run_accumulate(both, kernels->accumulate[type], matrices, type, neurons, x.rows, out);
      const double grouped = run_accumulate(both, kernels->accumulate_repacked[type], repacked, type, neurons, x.rows, out);
      const double megabytes = 1e-6 * matrix_count;
      std::printf("  %3u%% of down   by row %5.1f GB/s   repacked %5.1f GB/s, %6.3f ms a matrix (dense: %.3f ms)\n", share,
                  1e-3 * megabytes * static_cast<double>(count * row_bytes(type, kWidth)) / by_row,
                  1e-3 * megabytes * static_cast<double>(repacked_read_bytes(type, kWidth, neurons.data(), count)) / grouped,
                  1e3 * grouped / matrix_count, 1e3 * in_panels / matrix_count);
    }
  }
}

}  // namespace

int main(int argument_count, char** arguments) {
  print_bandwidth(1);
  print_bandwidth(2);
  for (const uint32_t type : kAllTypes)
    if (argument_count < 2 || std::string(name_of(type)) == arguments[1]) print_type(type);
}
