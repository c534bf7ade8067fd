// A block of a kernel's grid: its threads take turns on one OS thread, each on a fiber, and wait for each other as CUDA says.
//
// What CUDA leaves undefined ends the program with a report: threads of a block at different barriers, lanes of a warp in different operations,
// a thread that ends while others wait for it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "fiber.h"
#include "guarded_memory.h"
#include "place.h"
#include "vector_types.h"

namespace cuda_sim {

constexpr unsigned kWarpSize = 32;

// What a launch says.
struct Grid {
  const char* kernel;
  dim3 blocks;
  dim3 threads;
  size_t shared_bytes;
  std::function<void()> body;  // what each thread runs
};

using LaneValues = std::array<uint64_t, kWarpSize>;

class ThreadBlock;

struct Thread {
  Thread(ThreadBlock& block, unsigned number);

  ThreadBlock& block;
  const unsigned number;  // in the block
  uint3 index{};
  LaneValues received{};  // what the lanes of its warp gave in the operation that it took part in last
  Fiber fiber;

  unsigned warp() const { return number / kWarpSize; }
  unsigned lane() const { return number % kWarpSize; }
};

// The thread whose code is running on this OS thread.
inline thread_local Thread* current_thread = nullptr;

class ThreadBlock {
 public:
  void run(const Grid& grid, uint3 block_index, uint64_t seed);

  const Grid& grid() const { return *grid_; }
  const uint3& index() const { return index_; }
  void* dynamic_shared() const { return dynamic_shared_.begin(); }

  // Called by the running thread; each returns when all who have to be there are.
  void barrier(Place place);
  // Of the lanes in `mask`: gives them `value`, returns what each of them gave. `orders_memory`: what they wrote before is visible after.
  const LaneValues& meet(uint32_t mask, const char* operation, Place place, uint64_t value, bool orders_memory);

 private:
  friend struct Thread;

  // Lanes of a warp that wait for the others of their mask.
  struct Meeting {
    uint32_t mask;
    const char* operation;
    Place place;
    uint32_t arrived;
    void* token;
    LaneValues values;
  };
  struct Warp {
    uint32_t running = 0;  // lanes that exist and have not ended
    std::vector<Meeting> meetings;
    std::array<char, 64> tokens{};  // of one meeting each, in turn
    unsigned token = 0;
  };

  void run_threads();
  static void live(void* thread);
  void run_thread(Thread& thread);
  void end(Thread& thread);
  void prepare(const Grid& grid, uint3 block_index);
  Thread& next_ready();
  Meeting& meeting_of(Thread& thread, uint32_t mask, const char* operation, Place place);
  void complete(Warp& warp, unsigned first_thread, size_t meeting);
  [[noreturn]] void report(const char* what, ...) const __attribute__((format(printf, 2, 3)));

  const Grid* grid_ = nullptr;
  uint3 index_{};
  GuardedMemory dynamic_shared_{0};
  std::vector<std::unique_ptr<Thread>> threads_;  // made once, used by block after block
  unsigned thread_count_ = 0, ended_count_ = 0;
  std::vector<Warp> warps_;
  std::deque<Thread*> ready_;
  std::vector<Thread*> at_barrier_;
  Place barrier_place_{};
  std::array<char, 2> barrier_tokens_{};  // a thread may come to the next barrier before another has left this one
  unsigned barrier_token_ = 0;
  char begin_token_ = 0, end_token_ = 0;  // two, or a thread that ends would come before one that begins
  uint64_t random_ = 0;  // 0: threads run in order
};

}  // namespace cuda_sim
