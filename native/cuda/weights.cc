// Which tensors does the device hold, and where do they lie?
#include "weights.h"

#include <algorithm>
#include <thread>

#include "../cpu/tensor_shape.h"
#include "../quant/half.h"
#include "format.h"
#include "pack.h"

namespace powerinfer::cuda {
namespace {

// Packed on the host, sent, packed on: large enough that the copy runs at the bus's speed.
constexpr uint64_t kStagingBytes = 16u << 20;

bool belongs_to_attention(uint32_t role) {
  return role < POWERINFER_GATE || role == POWERINFER_DOWN_BIAS;  // what only a home needs
}

float element(const powerinfer_tensor& tensor, uint32_t i) {
  const uint8_t* const bytes = static_cast<const uint8_t*>(tensor.data);
  if (tensor.type == F32) {
    float value;
    std::memcpy(&value, bytes + uint64_t{i} * sizeof value, sizeof value);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, bytes + uint64_t{i} * sizeof half, sizeof half);
  return tensor.type == F16 ? float_from_f16(half) : float_from_bf16(half);
}

[[noreturn]] void lacks(uint32_t role, uint32_t block) {
  char name[64];
  describe_tensor(role, block, name, sizeof name);
  fail(POWERINFER_INCOMPLETE, "%s was not bound", name);
}

// The numbers of a share's neurons.
std::vector<uint32_t> members_of(const uint32_t* bits, uint32_t ffn_width) {
  std::vector<uint32_t> members;
  for (uint32_t n = 0; n < ffn_width; ++n) {
    if ((bits[n / 32] >> (n % 32) & 1) != 0) members.push_back(n);
  }
  return members;
}

}  // namespace

Weights::Weights(const powerinfer_device_context& context)
    : blocks(context.plugin->shape->block_count), context_(context), shape_(*context.plugin->shape), members_(shape_.block_count) {
  const uint64_t words = (shape_.ffn_width + 31) / 32;
  for (uint32_t block = 0; block < shape_.block_count; ++block) {
    BlockWeights& weights = blocks[block];
    weights.share_count = shape_.ffn_width;
    if (context.shares != nullptr) {
      members_[block] = members_of(context.shares + block * words, shape_.ffn_width);
      weights.share_count = static_cast<uint32_t>(members_[block].size());
      weights.whole = weights.share_count == shape_.ffn_width;
      if (weights.whole) members_[block].clear();
    }
    share_count_max = std::max(share_count_max, weights.share_count);
  }
}

void Weights::bind(const powerinfer_tensor& tensor) {
  if (!context_.home && belongs_to_attention(tensor.role)) return;
  const bool is_vector = tensor.rows == 1 && tensor_shape(shape_, tensor.role).rows == 1;
  if (is_vector && tensor.type != F32 && tensor.type != F16 && tensor.type != BF16) {
    fail(POWERINFER_UNSUPPORTED, "it is a vector of type %u; F32, F16 and BF16 are read on the device", tensor.type);
  }
  if (!is_vector) layout_of({tensor.type, tensor.width, tensor.rows});  // refuses what it does not read
  tensors_.push_back(tensor);
}

const powerinfer_tensor* Weights::find(uint32_t role, uint32_t block) const {
  for (const powerinfer_tensor& tensor : tensors_) {
    if (tensor.role == role && (role < kFirstBlockRole || tensor.block == block)) return &tensor;
  }
  return nullptr;
}

const powerinfer_tensor& Weights::need(uint32_t role, uint32_t block) const {
  const powerinfer_tensor* const tensor = find(role, block);
  if (tensor == nullptr) lacks(role, block);
  return *tensor;
}

double Weights::tensor_bytes(uint32_t role, uint32_t block) const {
  const powerinfer_tensor* const tensor = find(role, block);
  return tensor == nullptr ? 0 : tensor->size_bytes;
}

double Weights::row_bytes(uint32_t role, uint32_t block) const {
  const powerinfer_tensor* const tensor = find(role, block);
  return tensor == nullptr ? 0 : tensor->size_bytes / tensor->rows;
}

double Weights::down_neuron_bytes(uint32_t block) const {
  const uint32_t role = find(POWERINFER_DOWN_BY_NEURON, block) != nullptr ? POWERINFER_DOWN_BY_NEURON : POWERINFER_DOWN;
  return tensor_bytes(role, block) / shape_.ffn_width;
}

DeviceMatrix Weights::matrix(Layout& layout, Copies& copies, const powerinfer_tensor& tensor, const std::vector<uint32_t>* members) {
  MatrixSource source{tensor.type, tensor.width, tensor.rows, static_cast<const uint8_t*>(tensor.data)};
  source.members = members;
  const MatrixLayout planes = layout_of(source);
  uint8_t* const to = layout.take<uint8_t>(planes.size_bytes);
  copies.matrices.push_back({source, planes, to});
  return matrix_at(source, planes, to).rows;
}

const float* Weights::vector(Layout& layout, Copies& copies, uint32_t role, uint32_t block, const std::vector<uint32_t>* members) {
  const powerinfer_tensor* const tensor = find(role, block);
  if (tensor == nullptr) return nullptr;
  std::vector<float> values;
  if (members != nullptr && !members->empty()) {
    for (const uint32_t n : *members) values.push_back(element(*tensor, n));
  } else {
    for (uint32_t i = 0; i < tensor->width; ++i) values.push_back(element(*tensor, i));
  }
  float* const to = layout.take<float>((values.size() + 31) / 32 * 32);
  copies.vectors.push_back({std::move(values), to});
  return to;
}

void Weights::lay_out_attention(Layout& layout, Copies& copies, uint32_t block) {
  BlockWeights& b = blocks[block];
  const auto whole = [&](uint32_t role) { return matrix(layout, copies, need(role, block), nullptr); };
  const auto optional = [&](uint32_t role) { return vector(layout, copies, role, block); };
  need(POWERINFER_ATTENTION_NORM, block);
  need(POWERINFER_FFN_NORM, block);
  b.attention_norm = optional(POWERINFER_ATTENTION_NORM);
  b.attention_norm_bias = optional(POWERINFER_ATTENTION_NORM_BIAS);
  b.q = whole(POWERINFER_Q);
  b.k = whole(POWERINFER_K);
  b.v = whole(POWERINFER_V);
  b.q_bias = optional(POWERINFER_Q_BIAS);
  b.k_bias = optional(POWERINFER_K_BIAS);
  b.v_bias = optional(POWERINFER_V_BIAS);
  b.q_norm = optional(POWERINFER_Q_NORM);
  b.k_norm = optional(POWERINFER_K_NORM);
  b.attention_output = whole(POWERINFER_ATTENTION_OUTPUT);
  b.attention_output_bias = optional(POWERINFER_ATTENTION_OUTPUT_BIAS);
  b.ffn_norm = optional(POWERINFER_FFN_NORM);
  b.ffn_norm_bias = optional(POWERINFER_FFN_NORM_BIAS);
  b.down_bias = optional(POWERINFER_DOWN_BIAS);
}

void Weights::lay_out_ffn(Layout& layout, Copies& copies, uint32_t block) {
  BlockWeights& b = blocks[block];
  if (b.share_count == 0) return;
  const std::vector<uint32_t>* const members = b.whole ? nullptr : &members_[block];
  if (members != nullptr) {
    uint32_t* const to = layout.take<uint32_t>(members->size());
    copies.members.push_back({members, to});
    b.members = to;
  }
  if (shape_.gated) b.gate = matrix(layout, copies, need(POWERINFER_GATE, block), members);
  b.up = matrix(layout, copies, need(POWERINFER_UP, block), members);
  b.up_bias = vector(layout, copies, POWERINFER_UP_BIAS, block, members);

  const powerinfer_tensor* const by_neuron = find(POWERINFER_DOWN_BY_NEURON, block);
  const powerinfer_tensor& down = by_neuron != nullptr ? *by_neuron : need(POWERINFER_DOWN, block);
  MatrixSource source{down.type, down.width, down.rows, static_cast<const uint8_t*>(down.data), by_neuron == nullptr};
  source.members = members;
  const MatrixLayout planes = layout_of(source);
  uint8_t* const to = layout.take<uint8_t>(planes.size_bytes);
  copies.matrices.push_back({source, planes, to});
  b.down = matrix_at(source, planes, to);
}

void Weights::lay_out(Layout& layout, Copies& copies) {
  if (context_.home) {
    const powerinfer_tensor& tokens = need(POWERINFER_TOKEN_EMBEDDING, 0);
    const powerinfer_tensor& logits = need(POWERINFER_OUTPUT, 0);
    token_embedding = matrix(layout, copies, tokens, nullptr);
    if (const powerinfer_tensor* const positions = find(POWERINFER_POSITION_EMBEDDING, 0)) position_embedding = matrix(layout, copies, *positions, nullptr);
    // A tied model binds the embedding again.
    output = logits.data == tokens.data && logits.type == tokens.type ? token_embedding : matrix(layout, copies, logits, nullptr);
    need(POWERINFER_OUTPUT_NORM, 0);
    output_norm = vector(layout, copies, POWERINFER_OUTPUT_NORM, 0);
    output_norm_bias = vector(layout, copies, POWERINFER_OUTPUT_NORM_BIAS, 0);
    output_bias = vector(layout, copies, POWERINFER_OUTPUT_BIAS, 0);
  }
  for (uint32_t block = 0; block < shape_.block_count; ++block) {
    if (context_.home) lay_out_attention(layout, copies, block);
    lay_out_ffn(layout, copies, block);
  }
}

void Weights::upload(Budget& budget, cudaStream_t stream) {
  Layout measured;
  {
    Copies nothing;
    lay_out(measured, nothing);
  }
  memory_ = DeviceMemory(budget, measured.size_bytes(), "the weights");
  Layout layout(memory_.bytes());
  Copies copies;
  lay_out(layout, copies);

  uint64_t staging_bytes = kStagingBytes;
  for (const Copies::Matrix& matrix : copies.matrices) staging_bytes = std::max(staging_bytes, staging_bytes_min(matrix.source));
  const PinnedMemory staging(staging_bytes);
  const auto send = [&](void* to, const void* from, uint64_t size_bytes) {
    check(cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyHostToDevice, stream), "copy the weights");
    check(cudaStreamSynchronize(stream), "copy the weights");
  };
  ThreadPool pool(std::max(1u, std::thread::hardware_concurrency()));
  for (const Copies::Matrix& matrix : copies.matrices) {
    pack(pool, matrix.source, staging.bytes(), staging_bytes, [&](uint64_t at, const uint8_t* from, uint64_t bytes) { send(matrix.to + at, from, bytes); });
  }
  for (const Copies::Vector& vector : copies.vectors) send(vector.to, vector.values.data(), vector.values.size() * sizeof(float));
  for (const Copies::Members& members : copies.members) send(members.to, members.numbers->data(), members.numbers->size() * sizeof(uint32_t));
}

}  // namespace powerinfer::cuda
