// Goal: devices, launches, streams, events and graphs of the simulator answer as CUDA's do.
// Method: each call against what CUDA documents, in eager and in lazy streams alike (CUDA_SIM_STREAM).
#include <cstring>
#include <vector>

#include "../../test/test.h"
#include "../cuda.h"
#include "device_array.h"

namespace powerinfer_test {
namespace {

__global__ void add(unsigned* value, unsigned amount) { *value += amount; }
__global__ void times_ten(unsigned* value) { *value *= 10; }
__global__ void do_nothing() {}

// Kernels that are captured have to be loaded.
void load_kernels() {
  const DeviceArray<unsigned> value(1, 0u);
  CUDA_LAUNCH(add, 1, 1, 0, nullptr, value.get(), 1);
  CUDA_LAUNCH(times_ten, 1, 1, 0, nullptr, value.get());
  value.read();
}

unsigned only(const DeviceArray<unsigned>& value) { return value.read()[0]; }

cudaStream_t make_stream() {
  cudaStream_t stream = nullptr;
  CHECK_EQUAL(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  return stream;
}

cudaEvent_t make_event(unsigned flags = cudaEventDefault) {
  cudaEvent_t event = nullptr;
  CHECK_EQUAL(cudaEventCreateWithFlags(&event, flags), cudaSuccess);
  return event;
}

TEST("the device says what it is") {
  int count = 0, device = -1, driver = 0, runtime = 0, warp = 0;
  CHECK_EQUAL(cudaGetDeviceCount(&count), cudaSuccess);
  CHECK(count >= 1);
  cudaDeviceProp properties;
  CHECK_EQUAL(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  CHECK_EQUAL(std::string(properties.name), std::string("CUDA simulator (not a GPU)"));
  CHECK_EQUAL(properties.major, 8);
  CHECK_EQUAL(cudaDeviceGetAttribute(&warp, cudaDevAttrWarpSize, 0), cudaSuccess);
  CHECK_EQUAL(warp, 32);
  CHECK_EQUAL(cudaDriverGetVersion(&driver), cudaSuccess);
  CHECK_EQUAL(cudaRuntimeGetVersion(&runtime), cudaSuccess);
  CHECK(driver >= runtime);
  CHECK_EQUAL(cudaSetDevice(count), cudaErrorInvalidDevice);
  CHECK_EQUAL(cudaSetDevice(0), cudaSuccess);
  CHECK_EQUAL(cudaGetDevice(&device), cudaSuccess);
  CHECK_EQUAL(device, 0);
  cudaGetLastError();
}

TEST("a launch that no device could run is an error, and runs nothing") {
  const auto error_of = [](dim3 grid, dim3 block, size_t shared_bytes) {
    CUDA_LAUNCH(do_nothing, grid, block, shared_bytes, nullptr);
    return cudaGetLastError();
  };
  CHECK_EQUAL(error_of(1, 1024, 0), cudaSuccess);
  CHECK_EQUAL(error_of(1, 1025, 0), cudaErrorInvalidConfiguration);
  CHECK_EQUAL(error_of(1, dim3(1, 1, 65), 0), cudaErrorInvalidConfiguration);
  CHECK_EQUAL(error_of(1, 0, 0), cudaErrorInvalidConfiguration);
  CHECK_EQUAL(error_of(0, 1, 0), cudaErrorInvalidConfiguration);
  CHECK_EQUAL(error_of(dim3(1, 65536), 1, 0), cudaErrorInvalidConfiguration);
  CHECK_EQUAL(error_of(1, 1, 48 * 1024), cudaSuccess);
  CHECK_EQUAL(error_of(1, 1, 48 * 1024 + 1), cudaErrorInvalidValue);
  int most = 0;
  CHECK_EQUAL(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
  CHECK_EQUAL(cudaFuncSetAttribute(do_nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, most + 1), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFuncSetAttribute(do_nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, most), cudaSuccess);
  CHECK_EQUAL(error_of(1, 1, static_cast<size_t>(most)), cudaSuccess);
}

TEST("a host that polls a stream or an event gets on") {
  DeviceArray<unsigned> value(1, 0u);
  const cudaStream_t stream = make_stream();
  const cudaEvent_t event = make_event(cudaEventDisableTiming);
  for (unsigned i = 0; i < 5; ++i) CUDA_LAUNCH(add, 1, 1, 0, stream, value.get(), 1);
  CHECK_EQUAL(cudaEventRecord(event, stream), cudaSuccess);
  CUDA_LAUNCH(add, 1, 1, 0, stream, value.get(), 100);
  unsigned polls = 0;
  while (cudaEventQuery(event) == cudaErrorNotReady && polls < 100) polls += 1;
  CHECK_EQUAL(cudaEventQuery(event), cudaSuccess);
  while (cudaStreamQuery(stream) == cudaErrorNotReady && polls < 100) polls += 1;
  CHECK(polls < 100);
  CHECK_EQUAL(only(value), 105u);
  CHECK_EQUAL(cudaEventDestroy(event), cudaSuccess);
  CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
  CHECK_EQUAL(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
  cudaGetLastError();
}

TEST("a stream that waits for an event goes on after what came before the event, as it was recorded when the wait was asked for") {
  DeviceArray<unsigned> value(1, 1u);
  const cudaStream_t first = make_stream(), second = make_stream();
  const cudaEvent_t start = make_event(), end = make_event();
  CHECK_EQUAL(cudaEventRecord(start, first), cudaSuccess);
  CUDA_LAUNCH(add, 1, 1, 0, first, value.get(), 2);
  CHECK_EQUAL(cudaEventRecord(end, first), cudaSuccess);
  CHECK_EQUAL(cudaStreamWaitEvent(second, end, 0), cudaSuccess);
  CUDA_LAUNCH(times_ten, 1, 1, 0, second, value.get());
  CHECK_EQUAL(cudaStreamSynchronize(second), cudaSuccess);
  CHECK_EQUAL(only(value), 30u);
  float milliseconds = -1;
  CHECK_EQUAL(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  CHECK(milliseconds >= 0);
  for (const cudaEvent_t event : {start, end}) CHECK_EQUAL(cudaEventDestroy(event), cudaSuccess);
  for (const cudaStream_t stream : {first, second}) CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
}

__global__ void be_captured_unloaded() {}

TEST("a kernel that was never launched breaks a capture, and one that was does not") {
  const cudaStream_t stream = make_stream();
  cudaGraph_t graph = nullptr;
  CHECK_EQUAL(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  CUDA_LAUNCH(be_captured_unloaded, 1, 1, 0, stream);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorStreamCaptureUnsupported);
  CHECK_EQUAL(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  CUDA_LAUNCH(be_captured_unloaded, 1, 1, 0, stream);
  CHECK_EQUAL(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  CUDA_LAUNCH(be_captured_unloaded, 1, 1, 0, stream);
  CHECK_EQUAL(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  CHECK_EQUAL(cudaGraphDestroy(graph), cudaSuccess);
  CHECK_EQUAL(cudaStreamSynchronize(stream), cudaSuccess);
  CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
  cudaGetLastError();
}

TEST("a captured stream runs nothing, and its graph runs it at every launch") {
  load_kernels();
  DeviceArray<unsigned> value(1, 1u);
  const cudaStream_t origin = make_stream(), branch = make_stream();
  const cudaEvent_t forked = make_event(cudaEventDisableTiming), joined = make_event(cudaEventDisableTiming);
  CHECK_EQUAL(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  CUDA_LAUNCH(add, 1, 1, 0, origin, value.get(), 1);
  CHECK_EQUAL(cudaEventRecord(forked, origin), cudaSuccess);
  CHECK_EQUAL(cudaStreamWaitEvent(branch, forked, 0), cudaSuccess);
  CUDA_LAUNCH(times_ten, 1, 1, 0, branch, value.get());
  CHECK_EQUAL(cudaEventRecord(joined, branch), cudaSuccess);
  CHECK_EQUAL(cudaStreamWaitEvent(origin, joined, 0), cudaSuccess);
  cudaGraph_t graph = nullptr;
  CHECK_EQUAL(cudaStreamEndCapture(origin, &graph), cudaSuccess);
  CHECK_EQUAL(only(value), 1u);
  cudaGraphExec_t exec = nullptr;
  CHECK_EQUAL(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  CHECK_EQUAL(cudaGraphDestroy(graph), cudaSuccess);
  for (unsigned i = 0; i < 3; ++i) CHECK_EQUAL(cudaGraphLaunch(exec, origin), cudaSuccess);
  CHECK_EQUAL(cudaGraphExecDestroy(exec), cudaSuccess);
  CHECK_EQUAL(cudaStreamSynchronize(origin), cudaSuccess);
  CHECK_EQUAL(only(value), ((2u * 10 + 1) * 10 + 1) * 10);
  for (const cudaEvent_t event : {forked, joined}) CHECK_EQUAL(cudaEventDestroy(event), cudaSuccess);
  for (const cudaStream_t stream : {origin, branch}) CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
}

TEST("a capture ends with an error when a branch is left open or the host waited") {
  load_kernels();
  DeviceArray<unsigned> value(1, 1u);
  const cudaStream_t origin = make_stream(), branch = make_stream();
  const cudaEvent_t forked = make_event(cudaEventDisableTiming);
  cudaGraph_t graph = nullptr;
  CHECK_EQUAL(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  CHECK_EQUAL(cudaEventRecord(forked, origin), cudaSuccess);
  CHECK_EQUAL(cudaStreamWaitEvent(branch, forked, 0), cudaSuccess);
  CUDA_LAUNCH(times_ten, 1, 1, 0, branch, value.get());
  CHECK_EQUAL(cudaStreamEndCapture(origin, &graph), cudaErrorStreamCaptureUnjoined);

  CHECK_EQUAL(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  CHECK_EQUAL(cudaStreamSynchronize(origin), cudaErrorStreamCaptureUnsupported);
  CHECK_EQUAL(cudaStreamEndCapture(origin, &graph), cudaErrorStreamCaptureInvalidated);

  CHECK_EQUAL(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  void* memory = nullptr;
  CHECK_EQUAL(cudaMalloc(&memory, 4), cudaErrorStreamCaptureUnsupported);
  CHECK_EQUAL(cudaStreamEndCapture(origin, &graph), cudaErrorStreamCaptureInvalidated);
  CHECK_EQUAL(only(value), 1u);
  cudaGetLastError();
  CHECK_EQUAL(cudaEventDestroy(forked), cudaSuccess);
  for (const cudaStream_t stream : {origin, branch}) CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
}

TEST("streams belong to the device that was current when they were made") {
  int count = 0;
  CHECK_EQUAL(cudaGetDeviceCount(&count), cudaSuccess);
  if (count < 2) return skip("one device; set CUDA_SIM_DEVICES=2");
  CHECK_EQUAL(cudaSetDevice(1), cudaSuccess);
  const cudaStream_t stream = make_stream();
  CHECK_EQUAL(cudaSetDevice(0), cudaSuccess);
  CUDA_LAUNCH(do_nothing, 1, 1, 0, stream);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
}

}  // namespace
}  // namespace powerinfer_test
