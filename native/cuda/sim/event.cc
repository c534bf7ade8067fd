// Events: points in a stream that hosts and other streams wait for.
#include "event.h"

#include <chrono>
#include <map>

#include "capture.h"
#include "device.h"

namespace cuda_sim {
namespace {

using Clock = std::chrono::steady_clock;

// One point in one queue. Recording an event again makes another, so that who waits for the first still does.
struct Point {
  std::shared_ptr<Queue> queue;
  bool reached = false;
  Clock::time_point time;

  void wait() {
    while (!reached && queue->run_one()) {
    }
  }
};

}  // namespace

struct Event {
  bool timed;
  std::shared_ptr<Point> point;      // null: never recorded
  std::shared_ptr<Capture> capture;  // of the stream in which it was recorded last, if that was being captured, …
  Capture::Progress captured;        // … and where in it
};

namespace {

std::map<Event*, std::unique_ptr<Event>>& events() {
  static std::map<Event*, std::unique_ptr<Event>> all;
  return all;
}

bool exists(Event* event) { return events().count(event) != 0; }

}  // namespace
}  // namespace cuda_sim

using namespace cuda_sim;

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (event == nullptr || flags > (cudaEventBlockingSync | cudaEventDisableTiming)) return returned(cudaErrorInvalidValue);
  const QueuesLock lock;
  auto made = std::make_unique<Event>(Event{(flags & cudaEventDisableTiming) == 0, nullptr, nullptr, {}});
  *event = made.get();
  events().emplace(*event, std::move(made));
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const QueuesLock lock;
  return events().erase(event) != 0 ? cudaSuccess : returned(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const QueuesLock lock;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr || !exists(event)) return returned(cudaErrorInvalidResourceHandle);
  event->capture = queue->capture;
  if (queue->capture != nullptr) {
    event->captured = queue->capture->before[queue.get()];
    return cudaSuccess;
  }
  const auto point = std::make_shared<Point>();
  point->queue = queue;
  event->point = point;
  queue->push([point] {
    point->reached = true;
    point->time = Clock::now();
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const QueuesLock lock;
  if (!exists(event)) return returned(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return returned(cudaErrorCapturedEvent);
  if (event->point != nullptr) event->point->wait();
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const QueuesLock lock;
  if (!exists(event)) return returned(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return returned(cudaErrorCapturedEvent);
  if (event->point == nullptr) return cudaSuccess;
  if (!event->point->reached) event->point->queue->run_one();
  return event->point->reached ? cudaSuccess : returned(cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const QueuesLock lock;
  if (!exists(start) || !exists(end) || !start->timed || !end->timed || !start->point || !end->point)
    return returned(cudaErrorInvalidResourceHandle);
  if (!start->point->reached || !end->point->reached) return returned(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(end->point->time - start->point->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const QueuesLock lock;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr || !exists(event)) return returned(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return returned(event->capture->join(*queue, event->captured));
  if (queue->capture != nullptr) return event->point == nullptr ? cudaSuccess : returned(cudaErrorStreamCaptureIsolation);
  if (const std::shared_ptr<Point> point = event->point) queue->push([point] { point->wait(); });
  return cudaSuccess;
}
