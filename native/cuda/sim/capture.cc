// Work that becomes a graph instead of running.
#include "capture.h"

#include <algorithm>

namespace cuda_sim {
namespace {

// Those that have begun and not finished.
std::vector<Capture*>& captures() {
  static std::vector<Capture*> all;
  return all;
}

}  // namespace

std::shared_ptr<Capture> Capture::of(Queue& origin, cudaStreamCaptureMode mode) {
  const auto capture = std::make_shared<Capture>();
  capture->origin = &origin;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->before[&origin];
  origin.capture = capture;
  captures().push_back(capture.get());
  return capture;
}

bool Capture::permits_unsafe_calls() {
  const QueuesLock lock;
  bool permits = true;
  for (Capture* capture : captures()) {
    const bool is_own = capture->thread == std::this_thread::get_id();
    if (capture->mode == cudaStreamCaptureModeRelaxed || (capture->mode == cudaStreamCaptureModeThreadLocal && !is_own)) continue;
    capture->invalid = true;
    permits = false;
  }
  return permits;
}

void Capture::add(Queue& queue, Piece piece) {
  pieces.push_back(std::move(piece));
  before[&queue][&queue] += 1;
}

cudaError_t Capture::join(Queue& queue, const Progress& point) {
  if (queue.capture == nullptr) queue.capture = origin->capture;
  if (queue.capture.get() != this) return cudaErrorStreamCaptureMerge;
  for (const auto& [other, count] : point) {
    size_t& known = before[&queue][other];
    known = std::max(known, count);
  }
  return cudaSuccess;
}

cudaError_t Capture::finish() {
  const std::shared_ptr<Capture> alive = origin->capture;
  captures().erase(std::find(captures().begin(), captures().end(), this));
  const Progress& awaited = before[origin];
  bool joined = true;
  for (auto& [queue, progress] : before) {
    queue->capture = nullptr;
    const auto known = awaited.find(queue);
    const auto own = progress.find(queue);
    if (own != progress.end() && (known == awaited.end() || known->second < own->second)) joined = false;
  }
  if (invalid) return cudaErrorStreamCaptureInvalidated;
  return joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}

}  // namespace cuda_sim
