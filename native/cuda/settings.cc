// What was a predictor opened with, and how does it come to the device?
#include "settings.h"

#include "format.h"

namespace powerinfer::cuda {

ArrayView array_of(const powerinfer_plugin_context& context, const char* name, uint32_t block) {
  const BlockSetting setting(name, block);
  const powerinfer_array* const array = powerinfer_array_named(&context, setting.text);
  if (array == nullptr) fail(POWERINFER_INVALID_ARGUMENT, "%s was not given", setting.text);
  return {static_cast<const uint8_t*>(array->data), static_cast<uint64_t>(array->size_bytes)};
}

uint32_t whole_blocks(uint32_t type, uint32_t width) {
  return with_type(type, [&](auto t) {
    constexpr uint32_t block = Format<decltype(t)::value>::kBlock;
    return (width + block - 1) / block * block;
  });
}

void send_array(const ArrayView& from, void* to, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from.bytes, from.size_bytes, cudaMemcpyHostToDevice, stream), "copy the predictor");
  check(cudaStreamSynchronize(stream), "copy the predictor");
}

void send_matrix(const MatrixSource& source, uint8_t* to, cudaStream_t stream) {
  std::vector<uint8_t> staging(std::max<uint64_t>(staging_bytes_min(source), 1u << 20));
  ThreadPool alone(1);
  pack(alone, source, staging.data(), staging.size(), [&](uint64_t at, const uint8_t* bytes, uint64_t size_bytes) { send_array({bytes, size_bytes}, to + at, stream); });
}

}  // namespace powerinfer::cuda
