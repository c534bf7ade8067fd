// What do all neurons of a block add? gate and up, activation, down.
#include "activation.h"
#include "forward.h"
#include "multiply.h"
#include "stage_clock.h"

namespace powerinfer {
namespace {

// activation[n] = f(gated[n]) · g(activation[n] + bias[n]), or g alone, for first <= n < end.
void activate(const Model& model, const Block& b, const float* gated, float* activation, uint32_t first, uint32_t end) {
  add_bias(or_null(b.up_bias), first, end, activation);
  with_activation(model.shape.up_activation, [&](auto g) {
    for (uint32_t n = first; n < end; ++n) activation[n] = g(activation[n]);
  });
  if (!model.shape.gated) return;
  with_activation(model.shape.gate_activation, [&](auto f) {
    for (uint32_t n = first; n < end; ++n) activation[n] = f(gated[n]) * activation[n];
  });
}

}  // namespace

void activate_neurons(Model& model, uint32_t block, const float* hidden, uint32_t row_count, float* activation, const Codes* codes) {
  Cpu& cpu = *model.cpu;
  const Kernels& kernels = cpu.kernels;
  const Workspace& w = model.workspace;
  const Block& b = model.blocks[block];
  const uint32_t width = model.shape.hidden_width;
  const uint32_t ffn_width = model.shape.ffn_width;
  const bool gated = model.shape.gated;
  const Forms down_forms(kernels, {&b.down, &b.down_repacked});

  if (const Forms forms(kernels, {&b.gate, &b.up}); forms.any()) {
    for_each_row(cpu, row_count, [&](uint32_t row) {
      quantize(kernels, forms, w.input_codes, hidden + uint64_t{row} * width, row, row_count, 0, width);
    });
  }
  const Rows x = rows_of(hidden, width, row_count, width, w.input_codes);
  // A chunk computes gate, up and activation of the same neurons. 32 of them share one scale where activations are quantized.
  const uint64_t neuron_bytes = b.up.row_bytes + (gated ? b.gate.row_bytes : 0);
  const Chunking chunking = chunk_rows_of(neuron_bytes, ffn_width, neuron_bytes * ffn_width, cpu.pool.thread_count(), 32);
  cpu.pool.for_each(chunking.chunk_count, [&](uint32_t chunk, uint32_t) {
    const uint32_t first = chunk * chunking.chunk_rows;
    const uint32_t count = std::min(chunking.chunk_rows, ffn_width - first);
    if (gated) multiply(kernels, b.gate, nullptr, first, count, x, w.gated.get(), ffn_width);
    multiply(kernels, b.up, nullptr, first, count, x, activation, ffn_width);
    for (uint32_t row = 0; row < row_count; ++row) {
      const uint64_t at = uint64_t{row} * ffn_width;
      activate(model, b, &w.gated[at], activation + at, first, first + count);
      if (codes != nullptr) quantize(kernels, down_forms, *codes, activation + at, row, row_count, first, first + count);
    }
  });
  if (gated) count_weights(model.counters, b.gate, ffn_width);
  count_weights(model.counters, b.up, ffn_width);
}

void multiply_down(Model& model, const Matrix& down, uint32_t row_count, float* partial) {
  const Workspace& w = model.workspace;
  const uint32_t width = model.shape.hidden_width;
  const Rows x = rows_of(w.activation.get(), down.width, row_count, down.width, w.activation_codes);
  for_each_row_chunk(*model.cpu, {&down}, [&](uint32_t, uint32_t first, uint32_t count) {
    multiply(model.cpu->kernels, down, nullptr, first, count, x, partial, width);
  });
  count_weights(model.counters, down, down.rows);
}

void ffn_dense(Model& model, uint32_t block, const Ffn& ffn) {
  const Workspace& w = model.workspace;
  const Block& b = model.blocks[block];
  const uint32_t ffn_width = model.shape.ffn_width;

  StageClock clock(model, ffn.row_count);

  activate_neurons(model, block, ffn.hidden, ffn.row_count, w.activation.get(), &w.activation_codes);
  clock.charge(POWERINFER_STAGE_GATE_UP);
  if (b.down.bound()) {
    multiply_down(model, b.down, ffn.row_count, ffn.partial);
  } else {
    for (uint32_t n = 0; n < ffn_width; ++n) w.neurons[n] = n;
    add_neurons(model, block, ffn_width, ffn.row_count, ffn.partial);
  }
  clock.charge(POWERINFER_STAGE_DOWN);
  model.counters.neuron_computed_count += static_cast<double>(ffn_width) * ffn.row_count;
}

}  // namespace powerinfer
