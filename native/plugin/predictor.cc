// How are a plugin's predictor kernels called?
#include "predictor.h"

#include <cstring>
#include <utility>

#include "../cpu/batch_checks.h"
#include "../cpu/error.h"

namespace powerinfer {
namespace {

void on_pool(void* host, uint32_t chunk_count, powerinfer_task task, void* context) { static_cast<ThreadPool*>(host)->run(chunk_count, task, context); }

void in_caller(void*, uint32_t chunk_count, powerinfer_task task, void* context) {
  for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) task(context, chunk, 0);
}

}  // namespace

Predictor::Predictor(std::shared_ptr<const PluginLibrary> from, const powerinfer_model_shape& given)
    : library(std::move(from)), shape(checked_shape(given)), settings(shape) {
  if (!library->has_predictor) library->lacks("predictor");
}

Predictor::~Predictor() {
  if (opened) library->predictor.close(state);
}

void open_predictor(Predictor& predictor) {
  if (predictor.opened) fail(POWERINFER_INVALID_ARGUMENT, "it is open");
  void* state = nullptr;
  const powerinfer_status status = predictor.library->predictor.open(&predictor.settings.fix(), &state);
  if (status != POWERINFER_OK) {
    predictor.settings.loosen();
    predictor.library->refuse(status, "open");
  }
  predictor.state = state;
  predictor.opened = true;
}

powerinfer_select select_call(const Predictor& predictor, ThreadPool* pool, uint32_t block, const SelectInput& input, uint32_t* active) {
  const powerinfer_model_shape& s = predictor.shape;
  return {sizeof(powerinfer_select), block, input.row_count, s.hidden_width, s.ffn_width, words_of(s), input.hidden, active, pool,
          pool == nullptr ? in_caller : on_pool, pool == nullptr ? 1 : pool->thread_count(), 0, input.residual};
}

void check_select(const Predictor& predictor, uint32_t block, uint32_t row_count) {
  if (!predictor.opened) fail(POWERINFER_INCOMPLETE, "the predictor is not open; call powerinfer_predictor_open");
  check_block(predictor.shape, block);
  check_row_count(predictor.shape, row_count);
}

void check_predicts(const Predictor& predictor, const powerinfer_model_shape& shape) {
  const powerinfer_model_shape& own = predictor.shape;
  if (own.block_count == shape.block_count && own.hidden_width == shape.hidden_width && own.ffn_width == shape.ffn_width) return;
  fail(POWERINFER_INVALID_ARGUMENT, "the predictor is for %u blocks of %u and %u neurons, the model has %u of %u and %u", own.block_count,
       own.hidden_width, own.ffn_width, shape.block_count, shape.hidden_width, shape.ffn_width);
}

void select(const Predictor& predictor, ThreadPool* pool, uint32_t block, const SelectInput& input, uint32_t* active) {
  const powerinfer_model_shape& s = predictor.shape;
  const uint32_t row_count = input.row_count;
  const uint64_t bytes = uint64_t{row_count} * words_of(s) * sizeof(uint32_t);
  std::memset(active, 0, bytes);
  const powerinfer_select call = select_call(predictor, pool, block, input, active);
  const powerinfer_status status = predictor.library->required(predictor.library->predictor.select_cpu, "select_cpu")(predictor.state, &call);
  const uint32_t row = status == POWERINFER_OK ? row_beyond(s, active, row_count) : 0;
  if (status == POWERINFER_OK && row == row_count) return;
  std::memset(active, 0, bytes);
  predictor.library->check(status, "select");
  fail(POWERINFER_PLUGIN_FAILED, "%s named neurons at or above ffn_width %u for row %u", predictor.library->name.c_str(), s.ffn_width, row);
}

}  // namespace powerinfer
