// How long does work on a stream take when, as in decoding, it is launched as a graph?
#pragma once
#include <vector>

#include "../graphs.h"
#include "median.h"

namespace powerinfer_check {

class Graph {
 public:
  template <class Record>
  Graph(cudaStream_t stream, Record&& record) : stream_(stream) {
    record();  // once before it is recorded
    executable_ = powerinfer::cuda::recorded_graph(stream, record);
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;

  void launch() const { powerinfer::cuda::check(cudaGraphLaunch(executable_, stream_), "launch a graph"); }
  void wait() const { powerinfer::cuda::check(cudaStreamSynchronize(stream_), "run a graph"); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
};

// Median seconds of `body`, which returns when its work is done; once before to warm up.
template <class Body>
double median_seconds(uint32_t repetitions, Body&& body) {
  body();
  std::vector<double> seconds;
  for (uint32_t i = 0; i < repetitions; ++i) {
    const double start = seconds_now();
    body();
    seconds.push_back(seconds_now() - start);
  }
  return median(seconds);
}

// Of what `record` puts on the stream, as one graph. What was copied before is on the device then: cudaMemcpy does not wait for that, nor does the stream.
template <class Record>
double graph_seconds(cudaStream_t stream, uint32_t repetitions, Record&& record) {
  powerinfer::cuda::check(cudaDeviceSynchronize(), "copy what is measured");
  const Graph graph(stream, record);
  return median_seconds(repetitions, [&] {
    graph.launch();
    graph.wait();
  });
}

}  // namespace powerinfer_check
