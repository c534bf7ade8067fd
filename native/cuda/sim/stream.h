// Streams: queues of work. Eager ones run a piece as it comes; lazy ones when something waits for it, so that a wait that is missing shows.
//
// The default stream (null) is like any other here: nothing waits for it, nor it for others, without being told to.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "error.h"

namespace cuda_sim {

// A kernel, a copy, an event: run by one host thread at a time.
using Piece = std::function<void()>;

// The pieces of a stream that have not run. All queues share one lock, held while a piece runs.
class Queue {
 public:
  explicit Queue(int device) : device(device) {}
  const int device;

  void push(Piece piece);
  // False when nothing was left.
  bool run_one();
  void drain();
  bool empty();

 private:
  std::deque<Piece> pieces_;
};

struct Stream {
  std::shared_ptr<Queue> queue;
};

std::recursive_mutex& queues_mutex();
// The queue of a stream, of the current device's default stream for null, or null for a stream that does not exist.
std::shared_ptr<Queue> queue_of(Stream* stream);

}  // namespace cuda_sim

using cudaStream_t = cuda_sim::Stream*;

constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;

cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
// Of a lazy stream it runs one piece, so that who polls gets on.
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaDeviceSynchronize();
