// Runs the blocks of a grid, several at a time, on OS threads of the simulator's own.
#include "grid.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>

#include "options.h"

namespace cuda_sim {
namespace {

// In which order blocks run: 0, 1, 2, …, or with a seed a permutation of that.
class BlockOrder {
 public:
  BlockOrder(uint64_t count, uint64_t seed) : count_(count) {
    if (seed == 0) return;
    offset_ = seed * 0x9e3779b97f4a7c15u % count;
    stride_ = seed * 0xbf58476d1ce4e5b9u % count;
    while (std::gcd(stride_, count) != 1) stride_ += 1;
  }
  uint64_t operator[](uint64_t i) const { return (offset_ + i * stride_) % count_; }

 private:
  uint64_t count_, offset_ = 0, stride_ = 1;
};

class Workers {
 public:
  explicit Workers(unsigned count) {
    for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Workers() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    published_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(const Grid& grid) {
    std::lock_guard<std::mutex> one_at_a_time(callers_);
    std::unique_lock<std::mutex> lock(mutex_);
    grid_ = &grid;
    next_.store(0, std::memory_order_relaxed);
    launch_ += 1;
    working_ = threads_.size();
    published_.notify_all();
    finished_.wait(lock, [this] { return working_ == 0; });
  }

 private:
  void work() {
    ThreadBlock block;
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      published_.wait(lock, [&] { return stop_ || launch_ != seen; });
      if (stop_) return;
      seen = launch_;
      const Grid& grid = *grid_;
      lock.unlock();
      run_blocks(grid, block);
      lock.lock();
      if (--working_ == 0) finished_.notify_one();
    }
  }

  void run_blocks(const Grid& grid, ThreadBlock& block) {
    const uint64_t x = grid.blocks.x, y = grid.blocks.y, count = x * y * grid.blocks.z, seed = options().seed;
    const BlockOrder order(count, seed);
    for (uint64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) {
      const uint64_t at = order[i];
      const uint3 index{static_cast<unsigned>(at % x), static_cast<unsigned>(at / x % y), static_cast<unsigned>(at / (x * y))};
      block.run(grid, index, seed == 0 ? 0 : seed * 0x9e3779b97f4a7c15u + at);
    }
  }

  std::mutex callers_;
  std::mutex mutex_;  // of all below but next_
  std::condition_variable published_, finished_;
  std::vector<std::thread> threads_;
  const Grid* grid_ = nullptr;
  uint64_t launch_ = 0;
  size_t working_ = 0;
  bool stop_ = false;
  std::atomic<uint64_t> next_{0};  // the first block that nobody has taken
};

}  // namespace

void run_grid(const Grid& grid) {
  static Workers workers(options().thread_count);
  workers.run(grid);
}

}  // namespace cuda_sim
