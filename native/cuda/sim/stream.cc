// Streams: queues of work.
#include "stream.h"

#include <map>
#include <vector>

#include "device.h"
#include "options.h"

namespace cuda_sim {
namespace {

struct Streams {
  std::map<Stream*, std::unique_ptr<Stream>> made;
  std::map<int, std::shared_ptr<Queue>> defaults;  // by device
};

Streams& streams() {
  static Streams all;
  return all;
}

using Lock = std::lock_guard<std::recursive_mutex>;

}  // namespace

std::recursive_mutex& queues_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

void Queue::push(Piece piece) {
  Lock lock(queues_mutex());
  pieces_.push_back(std::move(piece));
  if (!options().lazy) drain();
}

bool Queue::run_one() {
  Lock lock(queues_mutex());
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

bool Queue::empty() {
  Lock lock(queues_mutex());
  return pieces_.empty();
}

std::shared_ptr<Queue> queue_of(Stream* stream) {
  Lock lock(queues_mutex());
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
  Lock lock(queues_mutex());
  auto made = std::make_unique<Stream>(Stream{std::make_shared<Queue>(current_device())});
  *stream = made.get();
  streams().made.emplace(*stream, std::move(made));
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Lock lock(queues_mutex());
  const auto found = streams().made.find(stream);
  if (found == streams().made.end()) return returned(cudaErrorInvalidResourceHandle);
  found->second->queue->drain();
  streams().made.erase(found);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr) return returned(cudaErrorInvalidResourceHandle);
  queue->drain();
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr) return returned(cudaErrorInvalidResourceHandle);
  queue->run_one();
  return queue->empty() ? cudaSuccess : returned(cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize() {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  Lock lock(queues_mutex());
  queue_of(nullptr)->drain();
  for (const auto& [stream, kept] : streams().made)
    if (kept->queue->device == current_device()) kept->queue->drain();
  return cudaSuccess;
}
