// Worker threads that share loops: they spin briefly for the next one, then sleep.
#include "thread_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "caller_core.h"
#include "pause.h"

namespace powerinfer {
namespace {

// The next loop of a forward pass comes within a few microseconds; a sleeping thread costs its caller about five to wake.
// Longer would burn a core that another process wants.
constexpr std::chrono::microseconds kSpin{40};

// A worker gives its core up after this long, between two chunks, where nobody waits for it. Left to the scheduler, it would be stopped at a timer
// tick some 3 to 4 ms after its turn began, nearly always inside a chunk, and all threads would wait for that chunk until its next turn,
// 4 ms later. Costs 0.3 µs where no other process wants the core.
constexpr std::chrono::microseconds kTurn{2500};

using Clock = std::chrono::steady_clock;

// Spins until done() or kSpin has passed; returns what done() said last.
template <class Done>
bool spin_until(Done&& done) {
  const auto deadline = Clock::now() + kSpin;
  do {
    for (uint32_t i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (Clock::now() < deadline);
  return done();
}

}  // namespace

// A loop is published by one store to `ticket`: its generation above, the chunks not yet taken below. A chunk is taken by decrementing
// it. Task, context and chunk_count are read only by who holds a chunk: the caller cannot return, and so cannot overwrite them, before
// that chunk is counted as done. A late worker that still thinks of an older loop fails its exchange, because the generation differs.
struct ThreadPool::State {
  std::vector<std::thread> workers;

  std::mutex callers;  // one loop at a time
  CallerCore caller_core;
  Task task = nullptr;
  void* context = nullptr;
  uint32_t chunk_count = 0;

  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<uint32_t> unfinished{0};
  alignas(64) std::atomic<uint32_t> sleeping{0};  // workers that have announced that they sleep
  std::atomic<bool> caller_sleeping{false};
  std::atomic<bool> stop{false};
  std::mutex sleep;
  std::condition_variable work_published, work_finished;

  static uint32_t generation(uint64_t t) { return static_cast<uint32_t>(t >> 32); }
  static uint32_t remaining(uint64_t t) { return static_cast<uint32_t>(t); }

  // Takes chunks of the current loop until none is left. A worker says when its turn on its core began, and gives way when that is over.
  void work(uint32_t thread, Clock::time_point* turn_began) {
    uint32_t done = 0;
    uint64_t seen = ticket.load(std::memory_order_acquire);
    while (remaining(seen) != 0) {
      if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) continue;
      task(context, chunk_count - remaining(seen), thread);
      ++done;
      if (turn_began != nullptr && Clock::now() - *turn_began > kTurn) {
        count_done(done);  // first: the others need not wait
        done = 0;
        std::this_thread::yield();
        *turn_began = Clock::now();
      }
      seen = ticket.load(std::memory_order_acquire);
    }
    if (done != 0) count_done(done);
  }

  // Counts chunks as finished, and wakes the caller if they were the last ones. The loop may be over afterwards, and another one under way.
  void count_done(uint32_t done) {
    if (unfinished.fetch_sub(done, std::memory_order_seq_cst) != done) return;
    if (caller_sleeping.load(std::memory_order_seq_cst)) {
      { std::lock_guard<std::mutex> lock(sleep); }
      work_finished.notify_one();
    }
  }

  void run_worker(uint32_t thread);

  ~State() {
    {
      std::lock_guard<std::mutex> lock(sleep);
      stop.store(true, std::memory_order_seq_cst);
    }
    work_published.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

namespace {

// The pool whose chunk this thread is running, and its number there: a loop inside a chunk runs on the spot.
struct Inside {
  const void* pool = nullptr;
  uint32_t thread = 0;
};
thread_local Inside inside;

}  // namespace

void ThreadPool::State::run_worker(uint32_t thread) {
  inside = {this, thread};
  uint32_t known = 0;
  Clock::time_point turn_began = Clock::now();
  const auto news = [&] { return generation(ticket.load(std::memory_order_seq_cst)) != known || stop.load(std::memory_order_seq_cst); };
  for (;;) {
    if (!spin_until(news)) {
      // Announce, then look again under the lock: the caller publishes, then looks for sleepers. One of the two sees the other.
      std::unique_lock<std::mutex> lock(sleep);
      sleeping.fetch_add(1, std::memory_order_seq_cst);
      work_published.wait(lock, news);
      sleeping.fetch_sub(1, std::memory_order_seq_cst);
      turn_began = Clock::now();
    }
    if (stop.load(std::memory_order_seq_cst)) return;
    known = generation(ticket.load(std::memory_order_seq_cst));
    work(thread, &turn_began);
  }
}

ThreadPool::ThreadPool(uint32_t thread_count) : state_(std::make_unique<State>()) {
  state_->workers.reserve(thread_count);
  for (uint32_t thread = 1; thread < thread_count; ++thread)
    state_->workers.emplace_back([state = state_.get(), thread] { state->run_worker(thread); });
}

ThreadPool::~ThreadPool() = default;

uint32_t ThreadPool::thread_count() const { return static_cast<uint32_t>(state_->workers.size()) + 1; }

void ThreadPool::run(uint32_t chunk_count, Task task, void* context) {
  State& state = *state_;
  if (chunk_count == 0) return;
  if (inside.pool == &state) {
    for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) task(context, chunk, inside.thread);
    return;
  }
  std::lock_guard<std::mutex> one_at_a_time(state.callers);
  const Inside outside = inside;
  inside = {&state, 0};
  if (chunk_count == 1 || state.workers.empty()) {
    for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) task(context, chunk, 0);
    inside = outside;
    return;
  }
  state.caller_core.clear(state.workers);
  state.task = task;
  state.context = context;
  state.chunk_count = chunk_count;
  state.unfinished.store(chunk_count, std::memory_order_relaxed);
  const uint64_t generation = State::generation(state.ticket.load(std::memory_order_relaxed)) + uint64_t{1};
  state.ticket.store(generation << 32 | chunk_count, std::memory_order_seq_cst);
  if (state.sleeping.load(std::memory_order_seq_cst) != 0) {
    { std::lock_guard<std::mutex> lock(state.sleep); }
    state.work_published.notify_all();
  }
  state.work(0, nullptr);
  const auto finished = [&] { return state.unfinished.load(std::memory_order_seq_cst) == 0; };
  if (!spin_until(finished)) {
    std::unique_lock<std::mutex> lock(state.sleep);
    state.caller_sleeping.store(true, std::memory_order_seq_cst);
    state.work_finished.wait(lock, finished);
    state.caller_sleeping.store(false, std::memory_order_seq_cst);
  }
  inside = outside;
}

}  // namespace powerinfer
