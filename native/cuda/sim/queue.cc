// Work that has been put into a stream and has not run.
#include "queue.h"

#include <mutex>

#include "capture.h"
#include "options.h"

namespace cuda_sim {
namespace {

std::recursive_mutex& mutex() {
  static std::recursive_mutex of_all_queues;
  return of_all_queues;
}

}  // namespace

QueuesLock::QueuesLock() { mutex().lock(); }
QueuesLock::~QueuesLock() { mutex().unlock(); }

void Queue::push(Piece piece) {
  const QueuesLock lock;
  if (capture != nullptr) {
    capture->add(*this, std::move(piece));
    return;
  }
  pieces_.push_back(std::move(piece));
  if (!options().lazy) drain();
}

bool Queue::run_one() {
  const QueuesLock lock;
  if (pieces_.empty()) return false;
  const Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  piece();
  return true;
}

void Queue::drain() {
  while (run_one()) {
  }
}

}  // namespace cuda_sim
