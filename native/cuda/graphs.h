// What is launched in the same way for every token is recorded once and launched as a whole.
//
// A recorded graph has its arguments in it: whatever changes from batch to batch lies in device memory that they point to. Graphs are dropped where such
// a pointer changes: when a longer cache takes more scratch memory.
#pragma once
#include <cstdint>
#include <map>
#include <tuple>

#include "status.h"

namespace powerinfer::cuda {

// What a graph is of: a stage of one block, and all that its launches depend on.
struct GraphKey {
  enum Stage : uint32_t { kAttend, kFfn };
  Stage stage;
  uint32_t block;
  uint32_t variant;   // of kAttend position_max, of kFfn the call's flags and where its neurons come from
  uint32_t selector;  // of kFfn the predictor's handle, or 0

  bool operator<(const GraphKey& other) const {
    return std::tie(stage, block, variant, selector) < std::tie(other.stage, other.block, other.variant, other.selector);
  }
};

// A graph of what record() enqueues on the stream. The kernels have run before: one is loaded when it is first launched, which drivers before CUDA 12.3
// refuse while a stream records.
template <class Record>
cudaGraphExec_t recorded_graph(cudaStream_t stream, Record&& record) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "record a graph");
  cudaGraph_t graph = nullptr;
  try {
    record();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "record a graph");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t made = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(made, "make a graph");
  return executable;
}

class Graphs {
 public:
  Graphs() = default;
  ~Graphs() { clear(); }
  Graphs(const Graphs&) = delete;

  // Launches what record() enqueues on the stream; the second time it is recorded. It must not wait for anything.
  template <class Record>
  void run(const GraphKey& key, cudaStream_t stream, Record&& record) {
    const auto [found, is_new] = graphs_.emplace(key, nullptr);
    if (is_new) return record();
    if (found->second == nullptr) found->second = recorded_graph(stream, record);
    check(cudaGraphLaunch(found->second, stream), "launch a graph");
  }

  // Nothing that was launched may still run.
  void clear() {
    for (const auto& graph : graphs_) {
      if (graph.second != nullptr) cudaGraphExecDestroy(graph.second);
    }
    graphs_.clear();
  }

 private:
  std::map<GraphKey, cudaGraphExec_t> graphs_;  // null: it ran once
};

}  // namespace powerinfer::cuda
