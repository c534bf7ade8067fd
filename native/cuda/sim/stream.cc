// Streams: queues that a host has made.
#include "stream.h"

#include <map>

#include "capture.h"
#include "device.h"

namespace cuda_sim {

struct Stream {
  std::shared_ptr<Queue> queue;
};

namespace {

struct Streams {
  std::map<Stream*, std::unique_ptr<Stream>> made;
  std::map<int, std::shared_ptr<Queue>> defaults;  // by device
};

Streams& streams() {
  static Streams all;
  return all;
}

// The queue of a stream that a host may wait for; else `error` says why not.
std::shared_ptr<Queue> awaited_queue(Stream* stream, cudaError_t& error) {
  const std::shared_ptr<Queue> queue = queue_of(stream);
  error = queue == nullptr ? cudaErrorInvalidResourceHandle : cudaSuccess;
  if (queue == nullptr || queue->capture == nullptr) return queue;
  queue->capture->invalid = true;
  error = cudaErrorStreamCaptureUnsupported;
  return nullptr;
}

}  // namespace

std::shared_ptr<Queue> queue_of(Stream* stream) {
  const QueuesLock lock;
  if (stream != nullptr) return streams().made.count(stream) != 0 ? stream->queue : nullptr;
  std::shared_ptr<Queue>& queue = streams().defaults[current_device()];
  if (queue == nullptr) queue = std::make_shared<Queue>(current_device());
  return queue;
}

}  // namespace cuda_sim

using namespace cuda_sim;

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (stream == nullptr || flags > cudaStreamNonBlocking) return returned(cudaErrorInvalidValue);
  const QueuesLock lock;
  auto made = std::make_unique<Stream>(Stream{std::make_shared<Queue>(current_device())});
  *stream = made.get();
  streams().made.emplace(*stream, std::move(made));
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const QueuesLock lock;
  cudaError_t error;
  const std::shared_ptr<Queue> queue = stream == nullptr ? nullptr : awaited_queue(stream, error);
  if (queue == nullptr) return returned(stream == nullptr ? cudaErrorInvalidResourceHandle : error);
  queue->drain();
  streams().made.erase(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const QueuesLock lock;
  cudaError_t error;
  const std::shared_ptr<Queue> queue = awaited_queue(stream, error);
  if (queue == nullptr) return returned(error);
  queue->drain();
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const QueuesLock lock;
  cudaError_t error;
  const std::shared_ptr<Queue> queue = awaited_queue(stream, error);
  if (queue == nullptr) return returned(error);
  queue->run_one();
  return queue->empty() ? cudaSuccess : returned(cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize() {
  const QueuesLock lock;
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  queue_of(nullptr)->drain();
  for (const auto& [stream, made] : streams().made)
    if (made->queue->device == current_device()) made->queue->drain();
  return cudaSuccess;
}
