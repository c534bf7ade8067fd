// A CUDA device that holds a model, or a share of its FFNs: what its calls work on. Each stage of a batch is a file: embed, attend, ffn, merge, logits.
#pragma once
#include <memory>
#include <vector>

#include "gpu.h"
#include "graphs.h"
#include "selectors.h"
#include "weights.h"
#include "workspace.h"

namespace powerinfer::cuda {

struct Stream {
  Stream() { check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "make a stream"); }
  ~Stream() { cudaStreamDestroy(handle); }
  Stream(const Stream&) = delete;
  cudaStream_t handle = nullptr;
};

struct Event {
  Event() { check(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming), "make an event"); }
  ~Event() { cudaEventDestroy(handle); }
  Event(const Event&) = delete;
  cudaEvent_t handle = nullptr;
};

struct CudaCache {
  uint32_t number;  // from 1: its place in the table of views, plus 1
  uint32_t position_count;
  uint32_t type;
  DeviceMemory memory;
};

struct Device {
  // Opens the device of the option `device` under the option `vram_budget_bytes` (absent or 0: what is free, less a margin). `context` outlives this.
  explicit Device(const powerinfer_device_context& context);
  ~Device();
  Device(const Device&) = delete;

  const powerinfer_device_context& context;
  const powerinfer_model_shape& shape;
  const uint32_t ordinal;
  const uint32_t words;  // u32 of one row's set of neurons
  std::unique_ptr<Budget> budget;
  std::unique_ptr<Stream> stream;

  std::unique_ptr<Weights> weights;
  std::vector<float> inverse_frequencies;
  DeviceMemory memory;  // of the workspace
  Workspace work;
  std::unique_ptr<Exchange> exchange;
  DeviceMemory tallies;  // Tally[block_count]
  std::unique_ptr<Selectors> selectors;
  std::vector<CudaCache> caches;
  DeviceMemory attend_scratch;
  uint32_t scratch_positions = 0;
  Graphs graphs;

  // The batch under way.
  uint32_t row_count = 0;
  uint32_t position_max = 0;
  double cache_bytes_of_block = 0;  // what attention reads of the caches in one block
  uint32_t hidden_expected = 0, active_expected = 0;  // sequence numbers of what was handed over last
  bool hidden_handed_over = false, active_handed_over = false;
  bool kept = false;                // the parts of an FFN wait for merge
  uint32_t kept_part_count = 0;
  uint32_t kept_block = 0;
  uint32_t remote_next = 0;
  float* partial_to = nullptr;      // where ffn_wait copies the partial
  uint32_t partial_rows = 0;
  std::unique_ptr<Event> copied_in;  // what was given from the host last is on the device
  std::unique_ptr<Event> remote_read[kRemoteCount];

  uint32_t selected_rows = 0;

  // What counters add to the tallies: the device counts only what it alone knows.
  double row_total = 0, dense_bytes = 0, cache_bytes = 0, neuron_count = 0, dense_ffn_bytes = 0, dense_neuron_count = 0;

  cudaStream_t queue() const { return stream->handle; }
  const BlockWeights& block(uint32_t index) const { return weights->blocks[index]; }
  // What the FFN's input was before its norm.
  const DeviceRows& ffn_residual() const { return shape.parallel != 0 ? work.block_input : work.residual; }
  // Other devices compute a part of the block.
  bool hands_over(uint32_t block) const { return !weights->blocks[block].whole; }
  uint64_t activation_stride(uint32_t block) const { return row_stride(weights->blocks[block].share_count); }
};

// Makes the workspace and copies the weights. Fails with OUT_OF_MEMORY, INCOMPLETE, UNSUPPORTED.
void make_ready(Device& device);

uint32_t open_cache(Device& device, uint32_t position_count, uint32_t type);
void close_cache(Device& device, uint32_t number);

// The stages; see powerinfer_backend_kernels.
void embed(Device& device, const powerinfer_row* rows, uint32_t row_count);
void attend(Device& device, uint32_t block, float* hidden);
void read_hidden(Device& device, float* hidden);
void activations(Device& device, uint32_t block, const float* hidden, uint32_t row_count, float* out);
void ffn(Device& device, const powerinfer_ffn_call& call);
void wait_ffn(Device& device);
void read_selected(Device& device, uint32_t* active);
void merge(Device& device, uint32_t block, const float* partial);
// Adds what an FFN kept, if nobody has yet.
void merge_kept(Device& device, const float* other);
void logits(Device& device, const uint32_t* rows, uint32_t count, float* out);
powerinfer_counters counters(Device& device);

// Returns when *word is `expected`, which a kernel on the stream writes.
void wait_for(cudaStream_t stream, const uint32_t* word, uint32_t expected);
// Copies what comes from the host into the workspace's `given` or `active`; the caller's memory is free when it returns.
void give_hidden(Device& device, const float* hidden, uint32_t row_count);
void give_active(Device& device, const uint32_t* active, uint32_t row_count);

}  // namespace powerinfer::cuda
