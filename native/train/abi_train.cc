// The ABI of training: products of matrices, trainers of predictors.
#include <algorithm>
#include <cmath>

#include "../cpu/abi.h"
#include "../cpu/machine.h"
#include "../include/powerinfer_train.h"
#include "gemm.h"
#include "trainer.h"

namespace powerinfer {
namespace {

HandleTable<Trainer>& trainers() {
  static auto& table = *new HandleTable<Trainer>(7, "trainer");
  return table;
}

void check_width(const char* name, uint32_t width, uint32_t most) {
  if (width == 0 || width > most) fail(POWERINFER_INVALID_ARGUMENT, "%s is %u; it must be from 1 to %u", name, width, most);
}

void check_options(const powerinfer_trainer_options& o) {
  check_width("hidden_width", o.hidden_width, kWidthMax);
  check_width("rank", o.rank, kWidthMax);
  check_width("ffn_width", o.ffn_width, kWidthMax);
  check_width("row_count_max", o.row_count_max, kRowCountMax);
  if (o.relu > 1) fail(POWERINFER_INVALID_ARGUMENT, "relu is %u; it must be 0 or 1", o.relu);
  for (const float beta : {o.beta1, o.beta2}) {
    if (!(beta >= 0 && beta < 1)) fail(POWERINFER_INVALID_ARGUMENT, "a beta is %g; it must be at least 0 and below 1", static_cast<double>(beta));
  }
  if (!(o.epsilon > 0)) fail(POWERINFER_INVALID_ARGUMENT, "epsilon is %g; it must be above 0", static_cast<double>(o.epsilon));
  if (!(o.weight_decay >= 0)) fail(POWERINFER_INVALID_ARGUMENT, "weight_decay is %g; it must not be negative", static_cast<double>(o.weight_decay));
}

// Four arrays of parameters, and a batch.
uint64_t trainer_bytes(const powerinfer_trainer_options& o) {
  const uint64_t parameters = uint64_t{o.rank} * (uint64_t{o.hidden_width} + o.ffn_width) + o.ffn_width;
  return sizeof(float) * (4 * parameters + uint64_t{o.row_count_max} * (uint64_t{o.hidden_width} + 2 * uint64_t{o.rank} + o.ffn_width));
}

// The part's place, after checking that the caller's has its size.
Trainer::Part checked_part(const Trainer& trainer, uint32_t part, uint32_t count) {
  if (part > POWERINFER_TRAINER_BIAS) fail(POWERINFER_INVALID_ARGUMENT, "a trainer has no part %u", part);
  const Trainer::Part found = trainer.part(part);
  if (found.count != count) fail(POWERINFER_INVALID_ARGUMENT, "part %u has %.0f values, %u were given", part, static_cast<double>(found.count), count);
  return found;
}

}  // namespace
}  // namespace powerinfer

using namespace powerinfer;

namespace {

void check_stride(const char* name, uint32_t stride, uint32_t width) {
  if (stride < width) fail(POWERINFER_INVALID_ARGUMENT, "%s is %u, less than the %u values of a row", name, stride, width);
}

}  // namespace

powerinfer_status powerinfer_gemm_f32(uint32_t cpu, uint32_t form, uint32_t rows, uint32_t columns, uint32_t depth, const float* a, uint32_t a_stride,
                                      const float* b, uint32_t b_stride, uint32_t adds, float* c, uint32_t c_stride) {
  return guarded("multiply matrices", [&] {
    const std::shared_ptr<Cpu> opened = cpus().get(cpu);
    required(a, "a");
    required(b, "b");
    required(c, "c");
    if (form > POWERINFER_GEMM_AT_B) fail(POWERINFER_INVALID_ARGUMENT, "no product has form %u", form);
    if (adds > 1) fail(POWERINFER_INVALID_ARGUMENT, "adds is %u; it must be 0 or 1", adds);
    for (const uint32_t size : {rows, columns, depth}) {
      if (size > kGemmSizeMax) fail(POWERINFER_INVALID_ARGUMENT, "a matrix has %u rows or columns; at most %u can be", size, kGemmSizeMax);
    }
    const bool a_transposed = form == POWERINFER_GEMM_AT_B, b_transposed = form == POWERINFER_GEMM_A_BT;
    check_stride("a_stride", a_stride, a_transposed ? rows : depth);
    check_stride("b_stride", b_stride, b_transposed ? depth : columns);
    check_stride("c_stride", c_stride, columns);
    const std::lock_guard<std::mutex> lock(opened->busy);
    const Multiplier multiplier(opened->pool, train_kernels_for(opened->isa), columns);
    multiplier.multiply({rows, columns, depth, a_transposed ? transposed(a, a_stride) : plain(a, a_stride),
                         b_transposed ? transposed(b, b_stride) : plain(b, b_stride), c, c_stride, adds == 1});
  });
}

powerinfer_status powerinfer_trainer_open(uint32_t cpu, const powerinfer_trainer_options* options, uint32_t* trainer) {
  return guarded("open a trainer", [&] {
    std::shared_ptr<Cpu> opened = cpus().get(cpu);
    const powerinfer_trainer_options& given = required_struct(options, "options");
    uint32_t& out = required(trainer, "trainer");
    check_options(given);
    require_memory(trainer_bytes(given), "the trainer");
    out = trainers().add(std::make_shared<Trainer>(std::move(opened), given));
  });
}

powerinfer_status powerinfer_trainer_write(uint32_t trainer, uint32_t part, const float* values, uint32_t count) {
  return guarded("write to the trainer", [&] {
    const std::shared_ptr<Trainer> t = trainers().get(trainer);
    const float* const from = &required(values, "values");
    const Trainer::Part to = checked_part(*t, part, count);
    const std::lock_guard<std::mutex> lock(t->busy);
    std::copy(from, from + to.count, to.values);
  });
}

powerinfer_status powerinfer_trainer_read(uint32_t trainer, uint32_t part, float* values, uint32_t count) {
  return guarded("read from the trainer", [&] {
    const std::shared_ptr<Trainer> t = trainers().get(trainer);
    float* const to = &required(values, "values");
    const Trainer::Part from = checked_part(*t, part, count);
    const std::lock_guard<std::mutex> lock(t->busy);
    std::copy(from.values, from.values + from.count, to);
  });
}

powerinfer_status powerinfer_trainer_step(uint32_t trainer, const float* hidden, const uint8_t* codes, uint32_t data_row_count, const uint32_t* rows,
                                          uint32_t row_count, const float* weights, float rate, double* loss) {
  return guarded("train on a batch", [&] {
    const std::shared_ptr<Trainer> t = trainers().get(trainer);
    required(hidden, "hidden");
    required(codes, "codes");
    required(rows, "rows");
    required(weights, "weights");
    double& out = required(loss, "loss");
    check_width("row_count", row_count, t->options.row_count_max);
    if (!std::isfinite(rate)) fail(POWERINFER_INVALID_ARGUMENT, "rate is %g; it must be finite", static_cast<double>(rate));
    const uint32_t largest = *std::max_element(rows, rows + row_count);
    if (largest >= data_row_count) fail(POWERINFER_INVALID_ARGUMENT, "row %u is beyond the %u rows of data", largest, data_row_count);
    const std::lock_guard<std::mutex> lock_threads(t->cpu().busy);
    const std::lock_guard<std::mutex> lock(t->busy);
    out = t->step(hidden, codes, rows, row_count, weights, rate);
  });
}

powerinfer_status powerinfer_trainer_scores(uint32_t trainer, const float* hidden, uint32_t row_count, float* scores) {
  return guarded("score rows", [&] {
    const std::shared_ptr<Trainer> t = trainers().get(trainer);
    required(hidden, "hidden");
    required(scores, "scores");
    const std::lock_guard<std::mutex> lock_threads(t->cpu().busy);
    const std::lock_guard<std::mutex> lock(t->busy);
    t->scores(hidden, row_count, scores);
  });
}

powerinfer_status powerinfer_trainer_close(uint32_t trainer) {
  return guarded("close the trainer", [&] { trainers().remove(trainer); });
}
