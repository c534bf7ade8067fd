// Graphs: work captured once and launched many times.
#include "graph.h"

#include <map>

namespace cuda_sim {

struct Graph {
  std::vector<Piece> pieces;
};
struct GraphExec {
  std::shared_ptr<const std::vector<Piece>> pieces;  // shared with launches that have not run
};

namespace {

template <class T>
std::map<T*, std::unique_ptr<T>>& made() {
  static std::map<T*, std::unique_ptr<T>> all;
  return all;
}

template <class T>
T* make(T value) {
  auto one = std::make_unique<T>(std::move(value));
  T* const handle = one.get();
  made<T>().emplace(handle, std::move(one));
  return handle;
}

template <class T>
cudaError_t destroy(T* handle) {
  const QueuesLock lock;
  return made<T>().erase(handle) != 0 ? cudaSuccess : returned(cudaErrorInvalidResourceHandle);
}

}  // namespace
}  // namespace cuda_sim

using namespace cuda_sim;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const QueuesLock lock;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr) return returned(cudaErrorInvalidResourceHandle);
  if (stream == nullptr) return returned(cudaErrorStreamCaptureUnsupported);
  if (queue->capture != nullptr) return returned(cudaErrorIllegalState);
  Capture::of(*queue, mode);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const QueuesLock lock;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr) return returned(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<Capture> capture = queue->capture;
  *graph = nullptr;
  if (capture == nullptr) return returned(cudaErrorIllegalState);
  if (capture->origin != queue.get()) return returned(cudaErrorStreamCaptureUnmatched);
  const cudaError_t error = capture->finish();
  if (error != cudaSuccess) return returned(error);
  *graph = make(Graph{std::move(capture->pieces)});
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const QueuesLock lock;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr) return returned(cudaErrorInvalidResourceHandle);
  if (queue->capture == nullptr) *status = cudaStreamCaptureStatusNone;
  else *status = queue->capture->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  const QueuesLock lock;
  if (exec == nullptr || made<Graph>().count(graph) == 0) return returned(cudaErrorInvalidValue);
  *exec = make(GraphExec{std::make_shared<const std::vector<Piece>>(graph->pieces)});
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const QueuesLock lock;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr || made<GraphExec>().count(exec) == 0) return returned(cudaErrorInvalidResourceHandle);
  queue->push([pieces = exec->pieces] {
    for (const Piece& piece : *pieces) piece();
  });
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return destroy(graph); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return destroy(exec); }
