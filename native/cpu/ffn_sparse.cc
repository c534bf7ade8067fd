// What do the candidate neurons of a block add, and how little must be read to know it?
//
// Chunks of neurons run the whole first half on their own; a serial pass of a few hundred entries joins what they found, in ascending
// order, so the result does not depend on which thread took which chunk.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "activation.h"
#include "forward.h"
#include "multiply.h"
#include "repack.h"
#include "stage_clock.h"

namespace powerinfer {
namespace {

// Neurons that a thread takes at a time are a multiple of this: whole words of a set, and whole groups of codes.
constexpr uint32_t kChunkNeurons = 64;
// From this share of the neurons on, all of `down` is read faster than a part of it (docs/measurements.md).
constexpr double kDenseDownShare = 0.25;
// From this share of a chunk's candidates on, all of them are read of `up`.
constexpr double kDenseUpShare = 0.75;

// A set of candidates is mostly gaps: chunks are long, so that rows are multiplied eight at a time and each eight are fetched during the last.
uint32_t chunk_neurons_of(uint32_t ffn_width, bool has_gaps, uint32_t thread_count) {
  constexpr uint32_t kChunksPerThread = 8;
  if (!has_gaps) return kChunkNeurons;
  return (ffn_width / (thread_count * kChunksPerThread) / kChunkNeurons + 1) * kChunkNeurons;
}

// The first half of a sparse FFN, for one chunk of neurons after the other.
struct Search {
  const Model& model;
  const Block& block;
  const Ffn& ffn;
  const Rows x;  // the input, f32[row_count, hidden_width]
  const Forms down_forms;

  const uint32_t ffn_width = model.shape.ffn_width;
  const uint32_t mask_words = (ffn_width + 31) / 32;
  const uint32_t chunk_neurons = chunk_neurons_of(ffn_width, ffn.active != nullptr, model.cpu->pool.thread_count());

  bool wants(uint32_t row, uint32_t neuron) const {
    return ffn.active == nullptr || (ffn.active[uint64_t{row} * mask_words + neuron / 32] >> (neuron % 32) & 1) != 0;
  }
  float& activation(uint32_t row, uint32_t neuron) const { return model.workspace.activation[uint64_t{row} * ffn_width + neuron]; }

  // Writes the neurons of first <= n < end that some row wants, ascending; returns how many.
  uint32_t candidates(uint32_t first, uint32_t end, uint32_t* neurons) const {
    uint32_t count = 0;
    for (uint32_t word = first / 32; word * 32 < end; ++word) {
      uint32_t bits = ffn.active == nullptr ? ~0u : 0;
      if (ffn.active != nullptr) {
        for (uint32_t row = 0; row < ffn.row_count; ++row) bits |= ffn.active[uint64_t{row} * mask_words + word];
      }
      for (; bits != 0; bits &= bits - 1) {
        const uint32_t neuron = word * 32 + static_cast<uint32_t>(__builtin_ctz(bits));
        if (neuron < end) neurons[count++] = neuron;
      }
    }
    return count;
  }

  // Drops the neurons whose activation is zero in every row; returns how many stay, and counts the nonzero activations.
  uint32_t keep_firing(uint32_t* neurons, uint32_t count, uint32_t& activation_count) const {
    uint32_t kept = 0;
    activation_count = 0;
    for (uint32_t k = 0; k < count; ++k) {
      uint32_t firing_rows = 0;
      for (uint32_t row = 0; row < ffn.row_count; ++row) firing_rows += activation(row, neurons[k]) != 0;  // NaN fires
      activation_count += firing_rows;
      if (firing_rows > 0) neurons[kept++] = neurons[k];
    }
    return kept;
  }

  // activation = 0 where its magnitude is at or below the neuron's threshold; a NaN stays.
  void drop_small(const Vector& threshold, const uint32_t* neurons, uint32_t count) const {
    if (threshold.empty() || !ffn.confirm) return;
    for (uint32_t row = 0; row < ffn.row_count; ++row) {
      for (uint32_t k = 0; k < count; ++k) {
        float& a = activation(row, neurons[k]);
        if (std::fabs(a) <= threshold[neurons[k]]) a = 0;
      }
    }
  }

  // activation = f(gate · x), zero in rows that do not want the neuron.
  void compute_gate(const uint32_t* neurons, uint32_t count) const {
    multiply(model.cpu->kernels, block.gate, neurons, 0, count, x, model.workspace.activation.get(), ffn_width);
    with_activation(model.shape.gate_activation, [&](auto f) {
      for (uint32_t row = 0; row < ffn.row_count; ++row) {
        for (uint32_t k = 0; k < count; ++k) {
          float& a = activation(row, neurons[k]);
          a = wants(row, neurons[k]) ? f(a) : 0;
        }
      }
    });
  }

  // Drops candidates whose gate is zero in every row; returns how many stay. Where nearly all fire, none is dropped: rows without gaps between them
  // are read faster than most of them.
  uint32_t confirm(uint32_t* neurons, uint32_t first, uint32_t end, SparseChunk& found) const {
    const uint32_t firing = keep_firing(neurons, found.candidate_count, found.activation_count);
    return firing >= kDenseUpShare * found.candidate_count ? candidates(first, end, neurons) : firing;
  }

  // activation = g(up · x + bias), times the gate's where the model has one; zero in rows that do not want the neuron.
  void compute_up(const uint32_t* neurons, uint32_t count) const {
    const float* const bias = or_null(block.up_bias);
    float* const sums = model.workspace.gated.get();
    multiply(model.cpu->kernels, block.up, neurons, 0, count, x, sums, ffn_width);
    with_activation(model.shape.up_activation, [&](auto g) {
      for (uint32_t row = 0; row < ffn.row_count; ++row) {
        for (uint32_t k = 0; k < count; ++k) {
          const uint32_t n = neurons[k];
          float& a = activation(row, n);
          const float up = g(sums[uint64_t{row} * ffn_width + n] + (bias == nullptr ? 0 : bias[n]));
          if (!model.shape.gated) a = wants(row, n) ? up : 0;
          else if (a != 0) a *= up;  // a gate of 0, or one that the row does not want, stays 0 whatever `up` is
        }
      }
    });
  }

  void run(uint32_t chunk) const {
    const Workspace& w = model.workspace;
    const uint32_t first = chunk * chunk_neurons, end = std::min(first + chunk_neurons, ffn_width);
    uint32_t* const neurons = &w.found_neurons[first];
    SparseChunk found{};
    found.candidate_count = candidates(first, end, neurons);
    // Codes are made of all neurons that share a scale: those that nobody computes are zero.
    for (uint32_t row = 0; down_forms.any() && row < ffn.row_count; ++row) std::fill(&activation(row, first), &activation(row, first) + (end - first), 0.0f);
    found.confirmed_count = found.candidate_count;
    if (model.shape.gated) {
      compute_gate(neurons, found.candidate_count);
      drop_small(block.gate_threshold, neurons, found.candidate_count);
      if (ffn.confirm) found.confirmed_count = confirm(neurons, first, end, found);
    }
    compute_up(neurons, found.confirmed_count);
    drop_small(block.activation_threshold, neurons, found.confirmed_count);
    found.neuron_count = keep_firing(neurons, found.confirmed_count, found.activation_count);
    for (uint32_t row = 0; down_forms.any() && row < ffn.row_count; ++row) {
      quantize(model.cpu->kernels, down_forms, w.activation_codes, &activation(row, 0), row, ffn.row_count, first, end);
    }
    w.sparse_chunks[chunk] = found;
  }
};

}  // namespace

void add_neurons(Model& model, uint32_t block, uint32_t neuron_count, uint32_t row_count, float* partial) {
  Cpu& cpu = *model.cpu;
  const Workspace& w = model.workspace;
  const Block& b = model.blocks[block];
  const bool repacked = !b.down_by_neuron.bound();
  const Matrix& down = repacked ? b.down_repacked : b.down_by_neuron;
  const AccumulateKernel accumulate = (repacked ? cpu.kernels.accumulate_repacked : cpu.kernels.accumulate)[down.type];
  const uint32_t width = model.shape.hidden_width;
  const Rows x = rows_of(w.activation.get(), model.shape.ffn_width, row_count, model.shape.ffn_width, w.activation_codes);

  // One slice of columns a thread: all slices are the same work, and each reads runs of a neuron's row as long as can be.
  const uint32_t slice = std::max(256u, (width / cpu.pool.thread_count() + 255) / 256 * 256);
  cpu.pool.for_each((width + slice - 1) / slice, [&](uint32_t chunk, uint32_t) {
    const uint32_t begin = chunk * slice;
    const uint32_t end = std::min(begin + slice, width);
    for (uint32_t row = 0; row < row_count; ++row) std::memset(partial + uint64_t{row} * width + begin, 0, (end - begin) * sizeof(float));
    if (neuron_count == 0) return;
    accumulate({down.bytes, down.row_bytes, width, w.neurons.get(), neuron_count, x, begin, end, partial, width});
  });
  model.counters.weight_bytes += static_cast<double>(repacked ? repacked_read_bytes(down.type, width, w.neurons.get(), neuron_count)
                                                              : down.row_bytes * neuron_count);
}

void ffn_sparse(Model& model, uint32_t block, const Ffn& ffn) {
  Cpu& cpu = *model.cpu;
  const Workspace& w = model.workspace;
  const Block& b = model.blocks[block];
  const uint32_t width = model.shape.hidden_width;
  StageClock clock(model, ffn.row_count);

  if (const Forms forms(cpu.kernels, {&b.gate, &b.up}); forms.any()) {
    for_each_row(cpu, ffn.row_count, [&](uint32_t row) {
      quantize(cpu.kernels, forms, w.input_codes, ffn.hidden + uint64_t{row} * width, row, ffn.row_count, 0, width);
    });
  }
  const Search search{model, b, ffn, rows_of(ffn.hidden, width, ffn.row_count, width, w.input_codes),
                      b.down_by_neuron.bound() ? Forms(cpu.kernels, {}) : Forms(cpu.kernels, {&b.down_repacked})};
  const uint32_t chunk_count = (model.shape.ffn_width + search.chunk_neurons - 1) / search.chunk_neurons;
  cpu.pool.for_each(chunk_count, [&](uint32_t chunk, uint32_t) { search.run(chunk); });

  uint32_t neuron_count = 0;
  uint64_t candidate_count = 0;
  uint64_t confirmed_count = 0;
  uint64_t activation_count = 0;
  for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) {
    const SparseChunk& found = w.sparse_chunks[chunk];
    std::memcpy(&w.neurons[neuron_count], &w.found_neurons[chunk * search.chunk_neurons], found.neuron_count * sizeof(uint32_t));
    neuron_count += found.neuron_count;
    candidate_count += found.candidate_count;
    confirmed_count += found.confirmed_count;
    activation_count += found.activation_count;
  }
  if (model.shape.gated) count_weights(model.counters, b.gate, candidate_count);
  count_weights(model.counters, b.up, confirmed_count);
  clock.charge(POWERINFER_STAGE_GATE_UP);

  // Sums of codes are the same bits either way (of finite weights); others differ by rounding, and would then depend on what other rows of the batch
  // fire.
  if (search.down_forms.any() && b.down.type == b.down_repacked.type && b.down.bound() && neuron_count >= kDenseDownShare * model.shape.ffn_width) {
    multiply_down(model, b.down, ffn.row_count, ffn.partial);
  } else {
    add_neurons(model, block, neuron_count, ffn.row_count, ffn.partial);
  }
  clock.charge(POWERINFER_STAGE_DOWN);
  model.counters.neuron_computed_count += static_cast<double>(activation_count);
}

}  // namespace powerinfer
