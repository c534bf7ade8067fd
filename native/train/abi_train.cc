// The ABI of training: products of matrices.
#include <algorithm>

#include "../cpu/abi.h"
#include "gemm.h"

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
