// Goal: powerinfer_model_make_resident refuses what cannot be copied. That copies change no result is tested where panels are multiplied
// (matmul_test.cc) and where whole models run on the backend.
#include "../cpu/kernels.h"
#include "tiny_model.h"

namespace powerinfer_test {
namespace {

#define CHECK_REFUSED(call) CHECK_EQUAL((call), powerinfer_status{POWERINFER_INVALID_ARGUMENT})

TinyOptions tiny_options() {
  TinyOptions o{};
  o.shape = small_shape();
  o.matrix_type = powerinfer::F16;
  return o;
}

}  // namespace

TEST("powerinfer_model_make_resident: refuses what is not a bound matrix, and layouts that are none (seed 22)") {
  const TinyModel tiny(tiny_options(), 22);
  uint32_t cpu = 0, model = 0, file = 0;
  CHECK_OK(powerinfer_cpu_open(1, 0, &cpu));
  CHECK_OK(powerinfer_model_open(cpu, &tiny.options.shape, &model));
  CHECK_OK(powerinfer_file_open(tiny.path.data(), static_cast<uint32_t>(tiny.path.size()), &file));
  CHECK_REFUSED(powerinfer_model_make_resident(model, POWERINFER_UP, 0, POWERINFER_RESIDENT_ROWS));
  CHECK_EQUAL(last_error(), "Cannot keep in memory blk.0 up: it is not bound");
  CHECK_OK(powerinfer_model_bind(model, POWERINFER_UP, 0, file, 0, powerinfer::F16, 48, 152));
  CHECK_OK(powerinfer_model_make_resident(model, POWERINFER_UP, 0, POWERINFER_RESIDENT_PANELS));
  CHECK_OK(powerinfer_model_make_resident(model, POWERINFER_UP, 0, POWERINFER_RESIDENT_ROWS));  // it is there already
  CHECK_REFUSED(powerinfer_model_make_resident(model, POWERINFER_UP, 0, 2));
  CHECK_REFUSED(powerinfer_model_make_resident(model, POWERINFER_UP, 9, 0));
  CHECK_REFUSED(powerinfer_model_make_resident(model, POWERINFER_FFN_NORM, 0, 0));
  CHECK_REFUSED(powerinfer_model_make_resident(model, 99, 0, 0));
  CHECK_OK(powerinfer_model_close(model));
  CHECK_OK(powerinfer_file_close(file));
  CHECK_OK(powerinfer_cpu_close(cpu));
}

}  // namespace powerinfer_test
