// How does a batch begin? Tokens become vectors, positions become angles.
#include <cmath>

#include "forward.h"
#include "multiply.h"
#include "stage_clock.h"

namespace powerinfer {
namespace {

void read_row(const Kernels& kernels, const Matrix& matrix, uint32_t row, float* out) {
  kernels.dequantize[matrix.type](matrix.bytes + row * matrix.row_bytes, out, matrix.width);
}

// Angles once per batch for all blocks and heads; in double, because position · frequency loses digits in f32 at large positions.
void write_angles(const Model& model, uint32_t row) {
  const uint64_t pair_count = model.inverse_frequencies.size();
  const double position = model.batch.rows[row].position;
  for (uint64_t i = 0; i < pair_count; ++i) {
    const double angle = position * static_cast<double>(model.inverse_frequencies[i]);
    model.workspace.cosines[row * pair_count + i] = static_cast<float>(std::cos(angle));
    model.workspace.sines[row * pair_count + i] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace

void embed(Model& model) {
  const Workspace& w = model.workspace;
  const uint32_t width = model.shape.hidden_width;
  StageClock clock(model, model.batch.row_count);
  for_each_row(*model.cpu, model.batch.row_count, [&](uint32_t row) {
    const powerinfer_row& input = model.batch.rows[row];
    float* const x = &w.residual[uint64_t{row} * width];
    read_row(model.cpu->kernels, model.token_embedding, input.token, x);
    if (model.position_embedding.bound()) {
      float* const learned = &w.projected[uint64_t{row} * width];
      read_row(model.cpu->kernels, model.position_embedding, input.position + model.shape.position_offset, learned);
      for (uint32_t i = 0; i < width; ++i) x[i] += learned[i];
    }
    write_angles(model, row);
  });
  model.counters.row_count += model.batch.row_count;
  count_weights(model.counters, model.token_embedding, model.batch.row_count);
  count_weights(model.counters, model.position_embedding, model.batch.row_count);
  clock.charge(POWERINFER_STAGE_EMBED);
}

void merge(Model& model, const float* partial, const float* bias) {
  const uint32_t width = model.shape.hidden_width;
  StageClock clock(model, model.batch.row_count);
  for_each_row(*model.cpu, model.batch.row_count, [&](uint32_t row) {
    float* const x = &model.workspace.residual[uint64_t{row} * width];
    const float* const part = partial + uint64_t{row} * width;
    for (uint32_t i = 0; i < width; ++i) x[i] += part[i];
    add_bias(bias, 0, width, x);
  });
  clock.charge(POWERINFER_STAGE_MERGE);
}

}  // namespace powerinfer
