// How does a batch begin? Every row's token becomes a vector; learned positions are added.
#include "../definitions.h"
#include "../octet.cuh"

namespace powerinfer::cuda {

void embed_definition(const Embed& op, const float* tokens, const float* positions) {
  for (uint32_t r = 0; r < op.row_count; ++r) {
    float* const x = op.x.values + uint64_t{r} * op.x.stride;
    const uint64_t token = op.rows[r].token, position = uint64_t{op.rows[r].position} + op.position_offset;
    for (uint32_t i = 0; i < op.x.width; ++i) {
      x[i] = tokens[token * op.x.width + i];
      if (positions != nullptr) x[i] += positions[position * op.x.width + i];
    }
  }
}

namespace {

constexpr uint32_t kThreads = 128;

enum class Source { kToken, kPosition };

// A block a row: x = the token's vector, or x += the position's.
template <uint32_t Type, Source From>
__global__ void read_rows(Embed op) {
  const BatchRow& row = op.rows[blockIdx.x];
  float* const x = op.x.values + uint64_t{blockIdx.x} * op.x.stride;
  for (uint32_t i = threadIdx.x; 8 * i < op.x.width; i += kThreads) {
    float w[8];
    if constexpr (From == Source::kToken) weights_at<Type>(op.tokens, row.token, i, w);
    else weights_at<Type>(op.positions, row.position + op.position_offset, i, w);
#pragma unroll
    for (uint32_t k = 0; k < 8; ++k) {
      if (8 * i + k < op.x.width) x[8 * i + k] = From == Source::kToken ? w[k] : x[8 * i + k] + w[k];
    }
  }
}

}  // namespace

void launch_embed(const Embed& op, cudaStream_t stream) {
  with_type(op.tokens.type, [&](auto type) { CUDA_LAUNCH((read_rows<type, Source::kToken>), op.row_count, kThreads, 0, stream, op); });
  if (!op.positions.bound()) return;
  with_type(op.positions.type, [&](auto type) { CUDA_LAUNCH((read_rows<type, Source::kPosition>), op.row_count, kThreads, 0, stream, op); });
}

}  // namespace powerinfer::cuda
