// How fast are the parts of a token on this device, beside a copy within its memory?
//
//   powerinfer_cuda_microbench [--shape 7b|13b|tiny] [--device N] [--repetitions N]
//
// `shape` is that of the block whose matrices are read. Prints JSON; seconds are medians.
#include <cstdio>
#include <exception>

#include "../gpu.h"
#include "../status.h"
#include "arguments.h"
#include "microbench.h"

using namespace powerinfer::cuda;
using namespace powerinfer_check;

namespace {

// In the words of CUDA: 13000 is 13.0.
std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

Json device_facts(uint32_t ordinal, const cudaDeviceProp& properties) {
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "ask for the driver's version");
  check(cudaRuntimeGetVersion(&runtime), "ask for the runtime's version");
  const powerinfer_backend_facts facts = gpu_facts(ordinal);
  Json json;
  json.text("name", facts.name)
      .text("compute_capability", std::to_string(properties.major) + "." + std::to_string(properties.minor))
      .number("memory_bytes", facts.memory_bytes)
      .number("memory_available_bytes", facts.memory_available_bytes)
      .number("l2_bytes", properties.l2CacheSize)
      .number("multiprocessors", properties.multiProcessorCount)
      .text("driver_supports_cuda", version_text(driver))
      .text("cuda_runtime", version_text(runtime));
  return json;
}

void run(const Arguments& arguments) {
  const uint32_t ordinal = static_cast<uint32_t>(std::stoul(arguments.text("device", "0")));
  const std::string shape = arguments.text("shape", "7b");
  const bool tiny = shape == "tiny";
  if (!tiny && shape != "7b" && shape != "13b") throw std::invalid_argument("there is no shape " + shape + "; there are 7b, 13b and tiny");
  use_gpu(ordinal);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, static_cast<int>(ordinal)), "ask the device what it is");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream");

  MicroPlace place{stream,
                   tiny ? 256u : shape == "7b" ? 4096u : 5120u,
                   tiny ? 256u : shape == "7b" ? 11008u : 13824u,
                   static_cast<uint32_t>(arguments.number("repetitions", tiny ? 1 : 15)),
                   tiny ? 0u : static_cast<uint64_t>(properties.l2CacheSize),
                   tiny ? uint64_t{1} << 16 : uint64_t{1} << 30};
  place.copy_bytes_per_s = measure_copy(place);
  std::vector<Json> rows;
  measure_sparse_ffn(place, rows);
  measure_multiply(place, rows);
  measure_attend(place, rows);
  measure_hand_off(place, rows);
  cudaStreamDestroy(stream);

  Json report;
  report.raw("device", device_facts(ordinal, properties).object()).text("shape", shape).number("copy_bytes_per_s", place.copy_bytes_per_s).rows("rows", rows);
  std::printf("%s\n", report.object().c_str());
}

}  // namespace

int main(int argument_count, char** texts) {
  try {
    run(Arguments(argument_count, texts, {"shape", "device", "repetitions"}));
    return 0;
  } catch (const powerinfer::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.state);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 2;
}
