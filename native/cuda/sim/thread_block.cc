// A block of a kernel's grid: its threads take turns on one OS thread.
#include "thread_block.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "race_detector.h"
#include "shared_memory.h"

namespace cuda_sim {

Thread::Thread(ThreadBlock& block, unsigned number) : block(block), number(number), fiber(ThreadBlock::live, this) {}

void ThreadBlock::run(const Grid& grid, uint3 block_index, uint64_t seed) {
  prepare(grid, block_index);
  random_ = seed;
  happens_before(&begin_token_);
  run_threads();
  happens_after(&end_token_);
}

void ThreadBlock::run_threads() {
  Unobserved unobserved;
  while (ended_count_ < thread_count_) {
    if (ready_.empty()) report("no thread can go on");
    Thread& thread = next_ready();
    current_thread = &thread;
    thread.fiber.resume();
  }
  current_thread = nullptr;
}

void ThreadBlock::prepare(const Grid& grid, uint3 block_index) {
  grid_ = &grid;
  index_ = block_index;
  thread_count_ = grid.threads.x * grid.threads.y * grid.threads.z;
  ended_count_ = 0;
  if (dynamic_shared_.size() != grid.shared_bytes) dynamic_shared_ = GuardedMemory(grid.shared_bytes);
  dynamic_shared_.poison();
  poison_static_shared();
  while (threads_.size() < thread_count_) threads_.push_back(std::make_unique<Thread>(*this, static_cast<unsigned>(threads_.size())));
  warps_.resize((thread_count_ + kWarpSize - 1) / kWarpSize);
  for (unsigned i = 0; i < thread_count_; ++i) {
    Thread& thread = *threads_[i];
    thread.index = {i % grid.threads.x, i / grid.threads.x % grid.threads.y, i / (grid.threads.x * grid.threads.y)};
    warps_[thread.warp()].running |= 1u << thread.lane();
    ready_.push_back(&thread);
  }
}

// Whoever has waited longest; with a seed, anybody.
Thread& ThreadBlock::next_ready() {
  if (random_ != 0) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    std::swap(ready_.front(), ready_[(random_ >> 33) % ready_.size()]);
  }
  Thread& next = *ready_.front();
  ready_.pop_front();
  return next;
}

void ThreadBlock::live(void* self) {
  Thread& thread = *static_cast<Thread*>(self);
  for (;;) thread.block.run_thread(thread);
}

void ThreadBlock::run_thread(Thread& thread) {
  happens_after(&begin_token_);
  grid_->body();
  happens_before(&end_token_);
  end(thread);
  thread.fiber.suspend();
}

void ThreadBlock::end(Thread& thread) {
  Unobserved unobserved;
  Warp& warp = warps_[thread.warp()];
  warp.running &= ~(1u << thread.lane());
  ended_count_ += 1;
  for (const Meeting& meeting : warp.meetings)
    if (meeting.mask >> thread.lane() & 1) report("thread %u has ended, and others wait for it in %s", thread.number, meeting.operation);
  if (!at_barrier_.empty()) report("thread %u has ended, and others wait for it at __syncthreads", thread.number);
}

void ThreadBlock::barrier(Place place) {
  Unobserved unobserved;
  Thread& self = *current_thread;
  void* const token = &barrier_tokens_[barrier_token_];
  happens_before(token);
  if (at_barrier_.empty()) barrier_place_ = place;
  at_barrier_.push_back(&self);
  if (!(barrier_place_ == place))
    report("thread %u is at the __syncthreads of %s:%d, others are at another", self.number, place.file, place.line);
  if (ended_count_ > 0) report("thread %u waits at __syncthreads, and %u threads have ended", self.number, ended_count_);
  if (at_barrier_.size() == thread_count_) {
    ready_.insert(ready_.end(), at_barrier_.begin(), at_barrier_.end());
    at_barrier_.clear();
    barrier_token_ ^= 1;
  }
  self.fiber.suspend();
  happens_after(token);
}

const LaneValues& ThreadBlock::meet(uint32_t mask, const char* operation, Place place, uint64_t value, bool orders_memory) {
  Unobserved unobserved;
  Thread& self = *current_thread;
  Warp& warp = warps_[self.warp()];
  Meeting& meeting = meeting_of(self, mask, operation, place);
  void* const token = meeting.token;
  if (orders_memory) happens_before(token);
  meeting.values[self.lane()] = value;
  meeting.arrived |= 1u << self.lane();
  if (meeting.arrived == mask) complete(warp, self.number - self.lane(), static_cast<size_t>(&meeting - warp.meetings.data()));
  self.fiber.suspend();
  if (orders_memory) happens_after(token);
  return self.received;
}

ThreadBlock::Meeting& ThreadBlock::meeting_of(Thread& thread, uint32_t mask, const char* operation, Place place) {
  Warp& warp = warps_[thread.warp()];
  if (!(mask >> thread.lane() & 1))
    report("thread %u calls %s (%s:%d) with mask %08x, which does not name its lane %u", thread.number, operation, place.file, place.line, mask,
           thread.lane());
  if (mask & ~warp.running)
    report("thread %u calls %s (%s:%d) with mask %08x, and lanes %08x have ended or never were", thread.number, operation, place.file,
           place.line, mask, mask & ~warp.running);
  for (Meeting& meeting : warp.meetings)
    if (meeting.mask == mask && meeting.place == place && std::strcmp(meeting.operation, operation) == 0) return meeting;
  warp.meetings.push_back({mask, operation, place, 0, &warp.tokens[warp.token++ % warp.tokens.size()], {}});
  return warp.meetings.back();
}

void ThreadBlock::complete(Warp& warp, unsigned first_thread, size_t at) {
  const Meeting& meeting = warp.meetings[at];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    if (!(meeting.mask >> lane & 1)) continue;
    Thread& thread = *threads_[first_thread + lane];
    thread.received = meeting.values;
    ready_.push_back(&thread);
  }
  warp.meetings.erase(warp.meetings.begin() + static_cast<ptrdiff_t>(at));
}

void ThreadBlock::report(const char* what, ...) const {
  std::fprintf(stderr, "cuda_sim: %s, block (%u, %u, %u): ", grid_->kernel, index_.x, index_.y, index_.z);
  va_list values;
  va_start(values, what);
  std::vfprintf(stderr, what, values);
  va_end(values);
  std::fprintf(stderr, "\n");
  if (!at_barrier_.empty())
    std::fprintf(stderr, "  %zu of %u threads wait at __syncthreads, %s:%d\n", at_barrier_.size(), thread_count_, barrier_place_.file,
                 barrier_place_.line);
  for (size_t i = 0; i < warps_.size(); ++i)
    for (const Meeting& meeting : warps_[i].meetings)
      std::fprintf(stderr, "  lanes %08x of warp %zu wait in %s, %s:%d, for lanes %08x\n", meeting.arrived, i, meeting.operation,
                   meeting.place.file, meeting.place.line, meeting.mask & ~meeting.arrived);
  std::abort();
}

}  // namespace cuda_sim
