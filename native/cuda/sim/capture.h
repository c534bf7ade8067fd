// Work that becomes a graph instead of running: what is put into a stream that is captured, and into streams that wait for it.
//
// Pieces are kept in the order of the calls, which respects every wait among them.
#pragma once
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "error.h"
#include "queue.h"

enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed = 2,
};

namespace cuda_sim {

struct Capture {
  // How many pieces of each queue come before something.
  using Progress = std::map<Queue*, size_t>;

  // Begins; it lasts until finish().
  static std::shared_ptr<Capture> of(Queue& origin, cudaStreamCaptureMode mode);
  // Calls that could wait for the device, like an allocation, break a capture that is not relaxed. False, and the capture invalid, if there is one.
  static bool permits_unsafe_calls();

  void add(Queue& queue, Piece piece);
  // What is put into `queue` from now on comes after `point` of this capture.
  cudaError_t join(Queue& queue, const Progress& point);
  // Frees the queues. An error if some work is not waited for by the stream where the capture began.
  cudaError_t finish();

  Queue* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
  std::vector<Piece> pieces;
  std::map<Queue*, Progress> before;  // of each queue that takes part: what its next piece comes after
};

}  // namespace cuda_sim
