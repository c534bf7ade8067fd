// How fast is a sparse FFN, beside a copy?
//
// The neurons of a block are dealt out to ten sets of a tenth each, at random; a graph runs all ten one after the other, over as many copies of the block as
// exceed the device's cache, so that every byte comes from memory. Activations are the identity: every neuron that is named also fires, so the bytes are
// known. They are those of the file: what a layout reads beside them (scales of other neurons, where `down` lies by columns) does not count.
#include <numeric>

#include "micro_measure.h"
#include "micro_weights.h"
#include "microbench.h"

using namespace powerinfer;
using namespace powerinfer::cuda;

namespace powerinfer_check {
namespace {

constexpr uint32_t kSets = 10;

// u32[kSets, words]
std::vector<uint32_t> tenths(uint32_t ffn_width, uint32_t words) {
  powerinfer_test::Random random(7);
  std::vector<uint32_t> order(ffn_width);
  std::iota(order.begin(), order.end(), 0);
  for (uint32_t i = ffn_width - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  std::vector<uint32_t> sets(kSets * words);
  for (uint32_t i = 0; i < ffn_width; ++i) sets[i % kSets * words + order[i] / 32] |= 1u << order[i] % 32;
  return sets;
}

// What a block's kernels work on.
struct Buffers {
  explicit Buffers(const MicroPlace& place) : words((place.ffn_width + 31) / 32), budget(UINT64_MAX) {
    Layout measured;
    cut(measured, place);
    memory = DeviceMemory(budget, measured.size_bytes(), "an FFN");
    Layout layout(memory.bytes());
    cut(layout, place);
    const std::vector<uint32_t> sets = tenths(place.ffn_width, words);
    check(cudaMemcpy(active, sets.data(), sets.size() * sizeof(uint32_t), cudaMemcpyHostToDevice), "copy the sets");
    const std::vector<float> ones(place.hidden_width, 1);
    check(cudaMemcpy(x.values, ones.data(), ones.size() * sizeof(float), cudaMemcpyHostToDevice), "copy the input");
  }
  void cut(Layout& layout, const MicroPlace& place) {
    const uint32_t stride = row_stride(place.hidden_width);
    x = {layout.take<float>(stride), stride, place.hidden_width};
    parts = {layout.take<float>(uint64_t{kDownParts} * stride), stride, place.hidden_width};
    active = layout.take<uint32_t>(kSets * words);
    candidates = layout.take<uint32_t>(place.ffn_width);
    firing = layout.take<uint32_t>(place.ffn_width);
    counts = layout.take<uint32_t>(2);
    activation = layout.take<float>(row_stride(place.ffn_width));
  }

  const uint32_t words;
  Budget budget;
  DeviceMemory memory;
  DeviceRows x{}, parts{};
  uint32_t *active = nullptr, *candidates = nullptr, *firing = nullptr, *counts = nullptr;
  float* activation = nullptr;
};

void launch_block(const MicroPlace& place, const Buffers& b, uint32_t set, const DeviceMatrix& gate, const DeviceMatrix& up, const DownMatrix& down) {
  const uint32_t* const active = b.active + set * b.words;
  const uint64_t stride = row_stride(place.ffn_width);
  launch_compact_sets({active, b.words, 1, nullptr, place.ffn_width, b.candidates, b.counts}, place.stream);
  const NeuronList candidates{b.candidates, b.counts, place.ffn_width}, firing{b.firing, b.counts + 1, place.ffn_width};
  GateUp gate_up{};
  gate_up.gate = gate;
  gate_up.up = up;
  gate_up.gate_activation = gate_up.up_activation = POWERINFER_ACTIVATION_IDENTITY;
  gate_up.neurons = candidates;
  gate_up.active = active;
  gate_up.words = b.words;
  gate_up.x = b.x;
  gate_up.row_count = 1;
  gate_up.activation = b.activation;
  gate_up.activation_stride = stride;
  launch_gate_up(gate_up, place.stream);
  launch_compact_firing({candidates, b.activation, stride, 1, b.firing, b.counts + 1, nullptr}, place.stream);
  launch_down({down, firing, b.activation, stride, 1, b.parts, 1}, place.stream);
}

}  // namespace

void measure_sparse_ffn(const MicroPlace& place, std::vector<Json>& rows) {
  const Buffers buffers(place);
  for (const Type type : {F16, Q8_0, Q4_0, Q4_K}) {
    Budget budget(UINT64_MAX);
    const uint64_t size_bytes_min = 4 * place.cache_bytes / 3;
    const MicroWeights gate(budget, type, place.hidden_width, place.ffn_width, false, size_bytes_min);
    const MicroWeights up(budget, type, place.hidden_width, place.ffn_width, false, size_bytes_min);
    const MicroWeights down(budget, type, place.ffn_width, place.hidden_width, true, size_bytes_min);
    const uint64_t copies = std::min(gate.matrices().size(), down.matrices().size());
    const double seconds = graph_seconds(place.stream, place.repetitions, [&] {
      for (uint64_t copy = 0; copy < copies; ++copy) {
        for (uint32_t set = 0; set < kSets; ++set) {
          launch_block(place, buffers, set, gate.matrices()[copy].rows, up.matrices()[copy].rows, down.matrices()[copy]);
        }
      }
    });
    const double blocks = static_cast<double>(copies) * kSets;
    rows.push_back(bandwidth_row(place, "sparse_ffn", (gate.file_bytes() + up.file_bytes() + down.file_bytes()) / kSets, seconds / blocks)
                       .text("type", powerinfer_test::name_of(type))
                       .number("active", 1.0 / kSets));
  }
}

}  // namespace powerinfer_check
