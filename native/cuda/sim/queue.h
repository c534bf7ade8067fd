// Work that has been put into a stream and has not run. Eager queues run a piece as it comes; lazy ones when something waits for it.
#pragma once
#include <deque>
#include <functional>
#include <memory>

namespace cuda_sim {

// A kernel, a copy, an event.
using Piece = std::function<void()>;

// Held by whoever looks at a queue, and while a piece runs: of all queues one piece at a time. A host thread may hold it several times.
class QueuesLock {
 public:
  QueuesLock();
  ~QueuesLock();
  QueuesLock(const QueuesLock&) = delete;
  QueuesLock& operator=(const QueuesLock&) = delete;
};

struct Capture;

class Queue {
 public:
  explicit Queue(int device) : device(device) {}

  void push(Piece piece);
  // False when nothing was left.
  bool run_one();
  void drain();
  bool empty() const { return pieces_.empty(); }

  const int device;
  std::shared_ptr<Capture> capture;  // where pieces go while the stream is captured; else null

 private:
  std::deque<Piece> pieces_;
};

}  // namespace cuda_sim
