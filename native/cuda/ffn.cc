// The device's share of a block's FFN: who names neurons, what they add, and where that goes.
#include <algorithm>

#include "device.h"

namespace powerinfer::cuda {
namespace {

// What one FFN computes.
struct Work {
  uint32_t block;
  uint32_t row_count;
  DeviceRows x;
  const uint32_t* active;  // on the device, or null: every neuron of the share
  bool confirm;

  // Every neuron counts, whether it fires or not.
  bool wants_all() const { return active == nullptr && !confirm; }
};

NeuronList every_neuron(const BlockWeights& b) { return {nullptr, nullptr, b.share_count}; }

NeuronList candidates_of(const Device& device, const Work& work) {
  const BlockWeights& b = device.block(work.block);
  if (work.active == nullptr) return every_neuron(b);
  const Workspace& w = device.work;
  launch_compact_sets({work.active, device.words, work.row_count, b.members, b.share_count, w.candidates, w.candidate_count}, device.queue());
  return {w.candidates, w.candidate_count, b.share_count};
}

GateUp gate_up_of(const Device& device, const Work& work, const NeuronList& neurons) {
  const BlockWeights& b = device.block(work.block);
  GateUp call{};
  call.gate = b.gate;
  call.up = b.up;
  call.up_bias = b.up_bias;
  call.gate_activation = device.shape.gate_activation;
  call.up_activation = device.shape.up_activation;
  call.confirm = work.confirm;
  call.neurons = neurons;
  call.active = work.active;
  call.words = device.words;
  call.members = b.members;
  call.x = work.x;
  call.row_count = work.row_count;
  call.activation = device.work.activation;
  call.activation_stride = device.activation_stride(work.block);
  return call;
}

// Few rows: only what they name is read, and of down only what fires.
void launch_sparse(const Device& device, const Work& work) {
  const Workspace& w = device.work;
  const BlockWeights& b = device.block(work.block);
  const uint64_t stride = device.activation_stride(work.block);
  const NeuronList candidates = candidates_of(device, work);
  GateUp gate_up = gate_up_of(device, work, candidates);
  NeuronList firing = candidates;
  if (!work.wants_all()) {
    gate_up.tally = reinterpret_cast<Tally*>(device.tallies.bytes()) + work.block;
    firing = {w.firing, w.firing_count, b.share_count};
  }
  launch_gate_up(gate_up, device.queue());
  if (!work.wants_all()) {
    launch_compact_firing({candidates, w.activation, stride, work.row_count, w.firing, w.firing_count, gate_up.tally}, device.queue());
  }
  launch_down({b.down, firing, w.activation, stride, work.row_count, w.parts, w.part_rows}, device.queue());
}

// Many rows: products of matrices. Where rows name their neurons, the others' activations are zero.
void launch_dense(const Device& device, const Work& work) {
  const Workspace& w = device.work;
  const BlockWeights& b = device.block(work.block);
  const uint64_t stride = device.activation_stride(work.block);
  cudaStream_t queue = device.queue();
  if (work.active != nullptr || stride != b.share_count) {
    check(cudaMemsetAsync(w.activation, 0, work.row_count * stride * sizeof(float), queue), "clear the activations");
  }
  if (work.active != nullptr) {
    launch_gate_up(gate_up_of(device, work, candidates_of(device, work)), queue);
  } else {
    const bool gated = device.shape.gated != 0;
    const Multiply up{b.up, b.up_bias, false, work.x, work.row_count, gated ? w.up : w.activation, stride};
    if (gated) launch_products({{b.gate, nullptr, false, work.x, work.row_count, w.activation, stride}, up}, queue);
    else launch_multiply(up, queue);
    launch_activate({w.activation, gated ? w.up : nullptr, stride, b.share_count, work.row_count, gated ? device.shape.gate_activation : device.shape.up_activation,
                     device.shape.up_activation},
                    queue);
  }
  launch_down_dense({b.down, w.activation, stride, work.row_count, w.parts}, queue);
}

void launch_share(const Device& device, const Work& work) {
  if (device.block(work.block).share_count == 0) return;
  if (work.row_count <= device.work.part_rows) launch_sparse(device, work);
  else launch_dense(device, work);
}

uint32_t part_count_of(const Device& device, const Work& work) {
  if (device.block(work.block).share_count == 0) return 0;
  return work.row_count <= device.work.part_rows ? kDownParts : 1;
}

// What a predictor on the device names, for this share and for the host.
void launch_selection(Device& device, const powerinfer_ffn_call& call, const DeviceRows& x) {
  const Workspace& w = device.work;
  device.selectors->of(*call.selector).select(call.block, {x, device.ffn_residual(), call.row_count}, w.active, device.queue());
  if (!device.hands_over(call.block)) return;
  launch_hand_over({x, call.row_count, w.active, device.words, nullptr, device.exchange->active_out, device.exchange->active_arrived, w.active_sequence},
                   device.queue());
}

void count(Device& device, const Work& work) {
  const BlockWeights& b = device.block(work.block);
  device.neuron_count += static_cast<double>(work.row_count) * b.share_count;
  if (work.row_count <= device.work.part_rows && !work.wants_all()) return;  // the device counts by itself
  const Weights& weights = *device.weights;
  const double neuron_bytes = weights.row_bytes(POWERINFER_GATE, work.block) + weights.row_bytes(POWERINFER_UP, work.block) + weights.down_neuron_bytes(work.block);
  device.dense_ffn_bytes += neuron_bytes * b.share_count;
  device.dense_neuron_count += static_cast<double>(work.row_count) * b.share_count;
}

// The parts, summed up on their way to the host.
void send_partial(Device& device, const Work& work, float* to) {
  const Workspace& w = device.work;
  const uint32_t width = device.shape.hidden_width;
  cudaStream_t queue = device.queue();
  launch_merge({nullptr, w.parts.values, part_count_of(device, work), w.part_rows, nullptr, 0, nullptr, work.row_count, w.partial}, queue);
  check_launches("add the parts");
  check(cudaMemcpy2DAsync(device.exchange->partial_out, width * sizeof(float), w.partial.values, w.partial.stride * sizeof(float), width * sizeof(float), work.row_count,
                          cudaMemcpyDeviceToHost, queue),
        "copy the partial sum");
  device.partial_to = to;
  device.partial_rows = work.row_count;
}

}  // namespace

void ffn(Device& device, const powerinfer_ffn_call& call) {
  device.kept = false;
  if (call.hidden != nullptr) give_hidden(device, call.hidden, call.row_count);
  if (call.active != nullptr) give_active(device, call.active, call.row_count);
  const DeviceRows& x = call.hidden != nullptr ? device.work.given : device.work.ffn_input;
  const bool named = call.active != nullptr || call.selector != nullptr;
  const Work work{call.block, call.row_count, x, named ? device.work.active : nullptr, (call.flags & POWERINFER_FFN_CONFIRM) != 0};
  if (call.selector != nullptr) device.selectors->of(*call.selector);  // ready before anything is recorded
  const auto launch = [&] {
    if (call.selector != nullptr) launch_selection(device, call, x);
    launch_share(device, work);
  };
  if (call.row_count == 1) {
    const uint32_t variant = (call.hidden != nullptr ? 4u : 0u) | (named ? 2u : 0u) | (work.confirm ? 1u : 0u);
    device.graphs.run({GraphKey::kFfn, call.block, variant, call.selector != nullptr ? call.selector->predictor : 0}, device.queue(), launch);
  } else {
    launch();
  }
  check_launches("compute the FFN");
  device.active_handed_over = call.selector != nullptr && device.hands_over(call.block);
  if (device.active_handed_over) ++device.active_expected;
  device.selected_rows = call.row_count;
  count(device, work);
  if (call.partial == nullptr) {
    device.kept = true;
    device.kept_block = call.block;
    device.kept_part_count = part_count_of(device, work);
    return;
  }
  send_partial(device, work, call.partial);
  if ((call.flags & POWERINFER_FFN_START) == 0) wait_ffn(device);
}

void wait_ffn(Device& device) {
  // What is kept for merge is followed by it on the stream: only what goes to the host is waited for.
  if (device.partial_to == nullptr) return;
  float* const to = std::exchange(device.partial_to, nullptr);
  check(cudaStreamSynchronize(device.queue()), "compute the FFN");
  const float* const from = device.exchange->partial_out;
  std::copy(from, from + uint64_t{device.partial_rows} * device.shape.hidden_width, to);
}

void read_selected(Device& device, uint32_t* active) {
  const uint64_t count = uint64_t{device.selected_rows} * device.words;
  if (device.active_handed_over) {
    wait_for(device.queue(), device.exchange->active_arrived, device.active_expected);
    std::copy(device.exchange->active_out, device.exchange->active_out + count, active);
    return;
  }
  check(cudaMemcpyAsync(active, device.work.active, count * sizeof(uint32_t), cudaMemcpyDeviceToHost, device.queue()), "copy the neurons' names");
  check(cudaStreamSynchronize(device.queue()), "copy the neurons' names");
}

void activations(Device& device, uint32_t block, const float* hidden, uint32_t row_count, float* out) {
  const BlockWeights& b = device.block(block);
  if (!b.whole) fail(POWERINFER_UNSUPPORTED, "the device holds %u of the block's %u neurons; give it the whole block", b.share_count, device.shape.ffn_width);
  if (hidden != nullptr) give_hidden(device, hidden, row_count);
  const Work work{block, row_count, hidden != nullptr ? device.work.given : device.work.ffn_input, nullptr, false};
  launch_gate_up(gate_up_of(device, work, every_neuron(b)), device.queue());
  check_launches("compute the activations");
  const uint64_t width_bytes = uint64_t{device.shape.ffn_width} * sizeof(float);
  check(cudaMemcpy2DAsync(out, width_bytes, device.work.activation, device.activation_stride(block) * sizeof(float), width_bytes, row_count, cudaMemcpyDeviceToHost,
                          device.queue()),
        "copy the activations");
  check(cudaStreamSynchronize(device.queue()), "copy the activations");
}

powerinfer_counters counters(Device& device) {
  std::vector<Tally> tallies(device.shape.block_count);
  check(cudaStreamSynchronize(device.queue()), "compute the batch");
  check(cudaMemcpy(tallies.data(), device.tallies.bytes(), tallies.size() * sizeof(Tally), cudaMemcpyDeviceToHost), "copy the counters");
  const Weights& weights = *device.weights;
  double ffn_bytes = device.dense_ffn_bytes, computed = device.dense_neuron_count;
  for (uint32_t block = 0; block < device.shape.block_count; ++block) {
    const Tally& tally = tallies[block];
    const double first_row_bytes = weights.row_bytes(device.shape.gated != 0 ? POWERINFER_GATE : POWERINFER_UP, block);
    ffn_bytes += static_cast<double>(tally.candidates) * first_row_bytes + static_cast<double>(tally.firing) * weights.down_neuron_bytes(block);
    if (device.shape.gated != 0) ffn_bytes += static_cast<double>(tally.confirmed) * weights.row_bytes(POWERINFER_UP, block);
    computed += static_cast<double>(tally.activations);
  }
  powerinfer_counters counted{};
  counted.struct_size = sizeof counted;
  counted.row_count = device.row_total;
  counted.weight_bytes = device.dense_bytes + ffn_bytes;
  counted.ffn_bytes = ffn_bytes;
  counted.cache_bytes = device.cache_bytes;
  counted.neuron_count = device.neuron_count;
  counted.neuron_computed_count = computed;
  return counted;
}

}  // namespace powerinfer::cuda
