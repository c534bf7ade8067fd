// How does an error of CUDA become a Failure, in words that say what to do?
#include "status.h"

namespace powerinfer::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const char* const words = cudaGetErrorString(error);
  switch (error) {
    case cudaErrorMemoryAllocation:
      fail(POWERINFER_OUT_OF_MEMORY, "cannot %s: %s; lower --vram-budget, --ctx or the share of the model on this device, or end what else uses it", what, words);
    case cudaErrorInsufficientDriver:
      fail(POWERINFER_UNSUPPORTED, "cannot %s: %s; install an NVIDIA driver, or a newer one: this library was built with CUDA %d.%d", what, words,
           CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    case cudaErrorNoDevice:
      fail(POWERINFER_UNSUPPORTED, "cannot %s: %s; check what nvidia-smi and CUDA_VISIBLE_DEVICES say, or run on the CPU", what, words);
    case cudaErrorNoKernelImageForDevice:
      fail(POWERINFER_UNSUPPORTED, "cannot %s: %s; this library has no machine code for it: build it with its compute capability in POWERINFER_CUDA_ARCHITECTURES", what, words);
    case cudaErrorUnsupportedPtxVersion:
      fail(POWERINFER_UNSUPPORTED, "cannot %s: %s; install a driver for CUDA %d.%d or newer, or build this library with the device's compute capability in "
           "POWERINFER_CUDA_ARCHITECTURES", what, words, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    case cudaErrorDevicesUnavailable:
      fail(POWERINFER_UNSUPPORTED, "cannot %s: %s; nvidia-smi says who uses it, and whether its compute mode lets only one process in", what, words);
    default: fail(POWERINFER_UNSUPPORTED, "cannot %s: %s", what, words);
  }
}

}  // namespace powerinfer::cuda
