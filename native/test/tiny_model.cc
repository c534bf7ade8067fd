// Small random models: written to a file, opened through the ABI like any other, and kept as doubles for the oracle.
#include "tiny_model.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "../cpu/kernels.h"
#include "../quant/half.h"

namespace powerinfer_test {
namespace {

std::string temporary_file() {
  std::string path = "/tmp/powerinfer_test_XXXXXX";
  const int descriptor = ::mkstemp(path.data());
  if (descriptor < 0) throw std::runtime_error("cannot create " + path);
  ::close(descriptor);
  return path;
}

void put_half(uint8_t* to, float value) {
  const uint16_t half = powerinfer::f16_from_float(value);
  std::memcpy(to, &half, sizeof half);
}

// Random weights of about the standard deviation `spread`, as bytes of `type`: the codes of block types are random, their scales are not.
std::vector<uint8_t> random_bytes(Random& random, uint32_t type, uint64_t width, uint64_t rows, float spread, float center) {
  const uint64_t size = powerinfer::row_bytes(type, width) * rows;
  if (size == 0) throw std::runtime_error("a tiny model's width is not whole blocks");
  std::vector<uint8_t> bytes(size);
  const auto blocks = [&](uint64_t block_bytes, auto write) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.bits());
    for (uint64_t at = 0; at < size; at += block_bytes) write(&bytes[at]);
  };
  const auto scale = [&](float step) { return spread * step * random.uniform(0.5f, 1.5f); };
  switch (type) {
    case powerinfer::F32:
      for (uint64_t i = 0; i < size; i += 4) {
        const float value = center + spread * random.uniform(-1.7f, 1.7f);
        std::memcpy(&bytes[i], &value, 4);
      }
      break;
    case powerinfer::F16:
      for (uint64_t i = 0; i < size; i += 2) put_half(&bytes[i], center + spread * random.uniform(-1.7f, 1.7f));
      break;
    case powerinfer::BF16:
      for (uint64_t i = 0; i < size; i += 2) {
        const uint32_t bits = powerinfer::bits_from_float(center + spread * random.uniform(-1.7f, 1.7f)) >> 16;
        bytes[i] = static_cast<uint8_t>(bits);
        bytes[i + 1] = static_cast<uint8_t>(bits >> 8);
      }
      break;
    case powerinfer::Q8_0: blocks(34, [&](uint8_t* block) { put_half(block, scale(1 / 73.0f)); }); break;
    case powerinfer::Q4_0: blocks(18, [&](uint8_t* block) { put_half(block, scale(1 / 4.6f)); }); break;
    case powerinfer::Q5_0: blocks(22, [&](uint8_t* block) { put_half(block, scale(1 / 9.2f)); }); break;
    case powerinfer::Q4_K:
      blocks(144, [&](uint8_t* block) {
        const float d = scale(1 / 200.0f);
        put_half(block, d);
        put_half(block + 2, d * 7.5f);
      });
      break;
    case powerinfer::Q6_K: blocks(210, [&](uint8_t* block) { put_half(block + 208, scale(1 / 1400.0f)); }); break;
    default: throw std::runtime_error("tiny models do not know this type");
  }
  return bytes;
}

}  // namespace

std::string last_error() {
  char text[1024];
  return std::string(text, powerinfer_last_error(text, sizeof text));
}

powerinfer_model_shape small_shape() {
  powerinfer_model_shape s{};
  s.struct_size = sizeof s;
  s.block_count = 2;
  s.hidden_width = 48;
  s.ffn_width = 152;  // neither whole words of `active` nor whole chunks
  s.head_count = 6;
  s.kv_head_count = 2;
  s.head_width = 8;
  s.vocabulary_size = 61;
  s.norm = POWERINFER_NORM_RMS;
  s.norm_epsilon = 1e-5f;
  s.rope = POWERINFER_ROPE_INTERLEAVED;
  s.rope_width = 8;
  s.gated = 1;
  s.gate_activation = POWERINFER_ACTIVATION_RELU;
  s.up_activation = POWERINFER_ACTIVATION_IDENTITY;
  s.row_count_max = 64;
  return s;
}

std::vector<uint32_t> random_tokens(Random& random, uint32_t count, uint32_t vocabulary_size) {
  std::vector<uint32_t> tokens(count);
  for (uint32_t& token : tokens) token = random.below(vocabulary_size);
  return tokens;
}

std::vector<uint32_t> isas_here() {
  std::vector<uint32_t> isas;
  for (uint32_t isa = POWERINFER_ISA_SCALAR; isa <= POWERINFER_ISA_AVX512_VNNI; ++isa) {
    if (powerinfer::supported_isas() >> isa & 1) isas.push_back(isa);
  }
  return isas;
}

TinyModel::TinyModel(const TinyOptions& chosen, uint64_t seed) : options(chosen), path(temporary_file()), repacked_path(temporary_file()) {
  const powerinfer_model_shape& s = options.shape;
  const uint32_t type = options.matrix_type;
  const uint32_t q_width = s.head_count * s.head_width;
  const uint32_t kv_width = s.kv_head_count * s.head_width;
  const bool norm_biases = options.biases && s.norm == POWERINFER_NORM_LAYER;
  Random random(seed);
  bytes_.push_back(0);  // so that no tensor is aligned: the ABI does not ask for it

  const auto vector = [&](uint32_t role, uint32_t block, uint32_t width) { add(random, role, block, powerinfer::F32, width, 1); };
  const auto matrix = [&](uint32_t role, uint32_t block, uint32_t width, uint32_t rows) { add(random, role, block, type, width, rows); };
  matrix(POWERINFER_TOKEN_EMBEDDING, 0, s.hidden_width, s.vocabulary_size);
  if (options.learned_positions) add(random, POWERINFER_POSITION_EMBEDDING, 0, powerinfer::F16, s.hidden_width, kLearnedPositions + s.position_offset);
  vector(POWERINFER_OUTPUT_NORM, 0, s.hidden_width);
  if (norm_biases) vector(POWERINFER_OUTPUT_NORM_BIAS, 0, s.hidden_width);
  if (options.tied) {
    Tensor tied = *find(POWERINFER_TOKEN_EMBEDDING);
    tied.role = POWERINFER_OUTPUT;
    tensors.push_back(tied);
  } else {
    matrix(POWERINFER_OUTPUT, 0, s.hidden_width, s.vocabulary_size);
  }
  if (options.biases) vector(POWERINFER_OUTPUT_BIAS, 0, s.vocabulary_size);
  for (uint32_t block = 0; block < s.block_count; ++block) {
    vector(POWERINFER_ATTENTION_NORM, block, s.hidden_width);
    matrix(POWERINFER_Q, block, s.hidden_width, q_width);
    matrix(POWERINFER_K, block, s.hidden_width, kv_width);
    matrix(POWERINFER_V, block, s.hidden_width, kv_width);
    matrix(POWERINFER_ATTENTION_OUTPUT, block, q_width, s.hidden_width);
    vector(POWERINFER_FFN_NORM, block, s.hidden_width);
    if (s.gated) matrix(POWERINFER_GATE, block, s.hidden_width, s.ffn_width);
    matrix(POWERINFER_UP, block, s.hidden_width, s.ffn_width);
    if (options.down_by_rows || options.down_repacked) add(random, POWERINFER_DOWN, block, type, s.ffn_width, s.hidden_width, options.down_by_rows);
    if (options.down_by_neuron && options.down_by_rows) add_by_neuron(block);
    if (options.down_by_neuron && !options.down_by_rows) matrix(POWERINFER_DOWN_BY_NEURON, block, s.hidden_width, s.ffn_width);
    if (options.head_norms) {
      vector(POWERINFER_Q_NORM, block, s.head_width);
      vector(POWERINFER_K_NORM, block, s.head_width);
    }
    if (norm_biases) {
      vector(POWERINFER_ATTENTION_NORM_BIAS, block, s.hidden_width);
      vector(POWERINFER_FFN_NORM_BIAS, block, s.hidden_width);
    }
    if (options.biases) {
      vector(POWERINFER_Q_BIAS, block, q_width);
      vector(POWERINFER_K_BIAS, block, kv_width);
      vector(POWERINFER_V_BIAS, block, kv_width);
      vector(POWERINFER_ATTENTION_OUTPUT_BIAS, block, s.hidden_width);
      vector(POWERINFER_UP_BIAS, block, s.ffn_width);
      vector(POWERINFER_DOWN_BIAS, block, s.hidden_width);
    }
  }
  for (uint32_t i = 0; i < s.rope_width / 2; ++i)
    inverse_frequencies.push_back(std::pow(100.0f, -2.0f * static_cast<float>(i) / static_cast<float>(s.rope_width)));

  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr || std::fwrite(bytes_.data(), 1, bytes_.size(), file) != bytes_.size()) throw std::runtime_error("cannot write " + path);
  std::fclose(file);
  if (options.down_repacked) repack();
}

TinyModel::~TinyModel() {
  std::remove(path.c_str());
  std::remove(repacked_path.c_str());
}

void TinyModel::add(Random& random, uint32_t role, uint32_t block, uint32_t type, uint32_t width, uint32_t rows, bool bound) {
  const uint32_t norms[] = {POWERINFER_OUTPUT_NORM, POWERINFER_ATTENTION_NORM, POWERINFER_FFN_NORM, POWERINFER_Q_NORM, POWERINFER_K_NORM};
  const bool norm = std::find(std::begin(norms), std::end(norms), role) != std::end(norms);
  const bool embedding = role == POWERINFER_TOKEN_EMBEDDING || role == POWERINFER_POSITION_EMBEDDING;
  // Matrices keep the size of what they multiply, so that no part of the model is too faint to be tested.
  const float spread = embedding ? 0.7f : rows == 1 ? 0.2f : 1 / std::sqrt(static_cast<float>(width));
  const std::vector<uint8_t> bytes = random_bytes(random, type, width, rows, spread, norm ? 1.0f : 0.0f);
  std::vector<float> weights(uint64_t{width} * rows);
  CHECK_OK(powerinfer_dequantize(type, bytes.data(), static_cast<uint32_t>(bytes.size()), weights.data(), width * rows));
  tensors.push_back({role, block, type, width, rows, bytes_.size(), bound, {weights.begin(), weights.end()}});
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

// The same values as DOWN, transposed: types without blocks only.
void TinyModel::add_by_neuron(uint32_t block) {
  const Tensor down = *find(POWERINFER_DOWN, block);
  const uint64_t element = powerinfer::row_bytes(down.type, 1);
  if (element == 0) throw std::runtime_error("transposing a block type would requantize it");
  Tensor turned{POWERINFER_DOWN_BY_NEURON, block, down.type, down.rows, down.width, bytes_.size(), true, std::vector<double>(down.weights.size())};
  bytes_.resize(bytes_.size() + down.weights.size() * element);
  for (uint64_t row = 0; row < down.rows; ++row) {
    for (uint64_t neuron = 0; neuron < down.width; ++neuron) {
      turned.weights[neuron * down.rows + row] = down.weights[row * down.width + neuron];
      const uint64_t to = turned.offset_bytes + (neuron * down.rows + row) * element;
      const uint64_t from = down.offset_bytes + (row * down.width + neuron) * element;
      std::memcpy(&bytes_[to], &bytes_[from], element);
    }
  }
  tensors.push_back(turned);
}

void TinyModel::repack() {
  uint32_t cpu = 0, file = 0;
  CHECK_OK(powerinfer_cpu_open(2, POWERINFER_ISA_AUTO, &cpu));
  CHECK_OK(powerinfer_file_open(path.data(), static_cast<uint32_t>(path.size()), &file));
  const powerinfer_model_shape& s = options.shape;
  CHECK_OK(powerinfer_repack_down_size(options.matrix_type, s.hidden_width, s.ffn_width, &repacked_bytes));
  for (uint32_t block = 0; block < s.block_count; ++block) {
    const double offset = static_cast<double>(find(POWERINFER_DOWN, block)->offset_bytes);
    CHECK_OK(powerinfer_repack_down(cpu, file, offset, options.matrix_type, s.hidden_width, s.ffn_width, repacked_path.data(),
                                    static_cast<uint32_t>(repacked_path.size()), block * repacked_bytes));
  }
  CHECK_OK(powerinfer_file_close(file));
  CHECK_OK(powerinfer_cpu_close(cpu));
}

const Tensor* TinyModel::find(uint32_t role, uint32_t block) const {
  for (const Tensor& tensor : tensors) {
    if (tensor.role == role && tensor.block == block) return &tensor;
  }
  return nullptr;
}

double TinyModel::role_bytes(uint32_t role) const {
  uint64_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    if (tensor.role == role) bytes += powerinfer::row_bytes(tensor.type, tensor.width) * tensor.rows;
  }
  return static_cast<double>(bytes);
}

OpenModel::OpenModel(const TinyModel& tiny, uint32_t thread_count, uint32_t isa) : tiny_(tiny) {
  uint32_t file = 0;
  CHECK_OK(powerinfer_cpu_open(thread_count, isa, &cpu));
  CHECK_OK(powerinfer_model_open(cpu, &tiny.options.shape, &model));
  CHECK_OK(powerinfer_file_open(tiny.path.data(), static_cast<uint32_t>(tiny.path.size()), &file));
  for (const Tensor& t : tiny.tensors) {
    if (t.bound) CHECK_OK(powerinfer_model_bind(model, t.role, t.block, file, static_cast<double>(t.offset_bytes), t.type, t.width, t.rows));
  }
  CHECK_OK(powerinfer_file_close(file));  // the model keeps the mapping
  if (tiny.options.down_repacked) {
    const powerinfer_model_shape& s = tiny.options.shape;
    CHECK_OK(powerinfer_file_open(tiny.repacked_path.data(), static_cast<uint32_t>(tiny.repacked_path.size()), &file));
    for (uint32_t block = 0; block < s.block_count; ++block) {
      const double offset = block * tiny.repacked_bytes;
      CHECK_OK(powerinfer_model_bind(model, POWERINFER_DOWN_REPACKED, block, file, offset, tiny.options.matrix_type, s.ffn_width, s.hidden_width));
    }
    CHECK_OK(powerinfer_file_close(file));
  }
  if (!tiny.inverse_frequencies.empty()) {
    CHECK_OK(powerinfer_model_rope(model, tiny.inverse_frequencies.data(), static_cast<uint32_t>(tiny.inverse_frequencies.size())));
  }
  CHECK_OK(powerinfer_model_ready(model));
}

OpenModel::~OpenModel() {
  CHECK_OK(powerinfer_model_close(model));
  CHECK_OK(powerinfer_cpu_close(cpu));
}

uint32_t OpenModel::open_cache(uint32_t position_count, uint32_t cache_type) const {
  uint32_t cache = 0;
  CHECK_OK(powerinfer_cache_open(model, position_count, cache_type, &cache));
  return cache;
}

std::vector<float> OpenModel::run(const std::vector<powerinfer_row>& rows, uint32_t ffn_flags, const uint32_t* active) const {
  const powerinfer_model_shape& s = tiny_.options.shape;
  const uint32_t row_count = static_cast<uint32_t>(rows.size());
  CHECK_OK(powerinfer_embed(model, rows.data(), row_count));
  for (uint32_t block = 0; block < s.block_count; ++block) {
    CHECK_OK(powerinfer_attend(model, block, nullptr));
    CHECK_OK(powerinfer_ffn(model, block, nullptr, row_count, active, ffn_flags, nullptr));
    CHECK_OK(powerinfer_merge(model, block, nullptr));
  }
  std::vector<uint32_t> all(row_count);
  for (uint32_t i = 0; i < row_count; ++i) all[i] = i;
  std::vector<float> logits(uint64_t{row_count} * s.vocabulary_size);
  CHECK_OK(powerinfer_logits(model, all.data(), row_count, logits.data()));
  return logits;
}

std::vector<float> OpenModel::prefill(const std::vector<uint32_t>& tokens, uint32_t batch_rows, uint32_t cache_type, uint32_t ffn_flags) const {
  const uint32_t count = static_cast<uint32_t>(tokens.size());
  const uint32_t cache = open_cache(count, cache_type);
  std::vector<float> logits;
  for (uint32_t begin = 0; begin < count; begin += batch_rows) {
    std::vector<powerinfer_row> rows;
    for (uint32_t i = begin; i < std::min(count, begin + batch_rows); ++i) rows.push_back({tokens[i], i, cache});
    const std::vector<float> part = run(rows, ffn_flags);
    logits.insert(logits.end(), part.begin(), part.end());
  }
  CHECK_OK(powerinfer_cache_close(cache));
  return logits;
}

powerinfer_counters OpenModel::counters() const {
  powerinfer_counters counters{};
  counters.struct_size = sizeof counters;
  CHECK_OK(powerinfer_counters_read(model, &counters));
  return counters;
}

}  // namespace powerinfer_test
