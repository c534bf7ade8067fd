// How likely is each token next?
#include "forward.h"
#include "multiply.h"
#include "stage_clock.h"

namespace powerinfer {

void logits(Model& model, const uint32_t* rows, uint32_t count, float* out) {
  Cpu& cpu = *model.cpu;
  const Workspace& w = model.workspace;
  const uint32_t width = model.shape.hidden_width;
  const uint32_t vocabulary_size = model.shape.vocabulary_size;
  const Forms forms(cpu.kernels, {&model.output});
  StageClock clock(model, model.batch.row_count);

  for_each_row(cpu, count, [&](uint32_t i) {
    float* const normed = &w.normed[uint64_t{i} * width];
    norm_row(model, &w.residual[uint64_t{rows[i]} * width], model.output_norm, model.output_norm_bias, normed);
    quantize(cpu.kernels, forms, w.input_codes, normed, i, count, 0, width);
  });
  clock.charge(POWERINFER_STAGE_NORM);
  const Rows x = rows_of(w.normed.get(), width, count, width, w.input_codes);
  for_each_row_chunk(cpu, {&model.output}, [&](uint32_t, uint32_t first, uint32_t chunk) {
    multiply(cpu.kernels, model.output, nullptr, first, chunk, x, out, vocabulary_size);
    for (uint32_t i = 0; i < count; ++i) add_bias(or_null(model.output_bias), first, first + chunk, out + uint64_t{i} * vocabulary_size);
  });
  count_weights(model.counters, model.output, vocabulary_size);
  clock.charge(POWERINFER_STAGE_LOGITS);
}

}  // namespace powerinfer
