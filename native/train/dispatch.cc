// Which kernel of training runs on which machine.
#include "../include/powerinfer.h"
#include "kernels.h"
#include "kernels/variants.h"

namespace powerinfer {
namespace {

const TrainKernels kScalar = {gemm_tile_scalar, kGemmRowsScalar, kGemmColumnsScalar, cross_entropy_scalar, adamw_scalar};
#if POWERINFER_X86
const TrainKernels kAvx2 = {gemm_tile_avx2, kGemmRowsAvx2, kGemmColumnsAvx2, cross_entropy_avx2, adamw_avx2};
const TrainKernels kAvx512 = {gemm_tile_avx512, kGemmRowsAvx512, kGemmColumnsAvx512, cross_entropy_avx512, adamw_avx512};
#endif

}  // namespace

const TrainKernels& train_kernels_for(uint32_t isa) {
#if POWERINFER_X86
  if (isa == POWERINFER_ISA_AVX2) return kAvx2;
  if (isa == POWERINFER_ISA_AVX512 || isa == POWERINFER_ISA_AVX512_VNNI) return kAvx512;
#endif
  (void)isa;
  return kScalar;
}

}  // namespace powerinfer
