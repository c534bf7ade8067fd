// A model made on the spot: what its tensors are.
#include "planted_model.h"

#include <unistd.h>

#include <cmath>
#include <stdexcept>

#include "planted_activity.h"
#include "planted_file.h"

namespace powerinfer_check {
namespace {

constexpr PlantedShape kShapes[] = {
    {"bamboo-7b", 32, 4096, 14336, 32, 8, 128, 32000},  // Mistral's and Bamboo's
    {"llama-13b", 40, 5120, 13824, 40, 40, 128, 32000},
    {"llama-70b", 80, 8192, 28672, 64, 8, 128, 32000},
    {"bamboo-8-blocks", 8, 4096, 14336, 32, 8, 128, 32000},
    {"tiny", 2, 128, 512, 4, 2, 32, 96},
};

powerinfer_model_shape library_shape(const PlantedShape& s) {
  powerinfer_model_shape shape{};
  shape.struct_size = sizeof shape;
  shape.block_count = s.block_count;
  shape.hidden_width = s.hidden_width;
  shape.ffn_width = s.ffn_width;
  shape.head_count = s.head_count;
  shape.kv_head_count = s.kv_head_count;
  shape.head_width = s.head_width;
  shape.vocabulary_size = s.vocabulary_size;
  shape.norm = POWERINFER_NORM_RMS;
  shape.norm_epsilon = 1e-5f;
  shape.rope = POWERINFER_ROPE_HALVES;
  shape.rope_width = s.head_width;
  shape.gated = 1;
  shape.gate_activation = POWERINFER_ACTIVATION_RELU;
  shape.up_activation = POWERINFER_ACTIVATION_IDENTITY;
  shape.row_count_max = 1;
  return shape;
}

// In the order of the file.
std::vector<PlantedTensor> tensors_of(const PlantedShape& s, const PlantedType& type) {
  std::vector<PlantedTensor> tensors;
  uint64_t offset = 0;
  const auto add = [&](uint32_t role, uint32_t block, const PlantedType* of, uint32_t width, uint32_t rows) {
    tensors.push_back({role, block, of, width, rows, offset});
    offset += (tensors.back().size_bytes() + 63) / 64 * 64;
  };
  const uint32_t q_width = s.head_count * s.head_width, kv_width = s.kv_head_count * s.head_width;
  add(POWERINFER_TOKEN_EMBEDDING, 0, &type, s.hidden_width, s.vocabulary_size);
  add(POWERINFER_OUTPUT_NORM, 0, nullptr, s.hidden_width, 1);
  add(POWERINFER_OUTPUT, 0, &type, s.hidden_width, s.vocabulary_size);
  for (uint32_t block = 0; block < s.block_count; ++block) {
    add(POWERINFER_ATTENTION_NORM, block, nullptr, s.hidden_width, 1);
    add(POWERINFER_Q, block, &type, s.hidden_width, q_width);
    add(POWERINFER_K, block, &type, s.hidden_width, kv_width);
    add(POWERINFER_V, block, &type, s.hidden_width, kv_width);
    add(POWERINFER_ATTENTION_OUTPUT, block, &type, q_width, s.hidden_width);
    add(POWERINFER_FFN_NORM, block, nullptr, s.hidden_width, 1);
    add(POWERINFER_GATE, block, &type, s.hidden_width, s.ffn_width);
    add(POWERINFER_UP, block, &type, s.hidden_width, s.ffn_width);
    add(POWERINFER_DOWN_BY_NEURON, block, &type, s.hidden_width, s.ffn_width);
  }
  return tensors;
}

bool of_neurons(const PlantedTensor& tensor) {
  return tensor.role == POWERINFER_GATE || tensor.role == POWERINFER_UP || tensor.role == POWERINFER_DOWN_BY_NEURON;
}

double total_bytes(const std::vector<PlantedTensor>& tensors, bool neurons_too) {
  double total = 0;
  for (const PlantedTensor& tensor : tensors) total += neurons_too || !of_neurons(tensor) ? static_cast<double>(tensor.size_bytes()) : 0;
  return total;
}

// The file of a path that is removed with this, whatever happens.
struct TemporaryPath {
  const std::string path;
  ~TemporaryPath() { ::unlink(path.c_str()); }
};

}  // namespace

const PlantedShape& planted_shape(const std::string& name) {
  std::string names;
  for (const PlantedShape& shape : kShapes) {
    if (name == shape.name) return shape;
    names += std::string(names.empty() ? "" : ", ") + shape.name;
  }
  throw std::invalid_argument("there is no shape " + name + "; there are " + names);
}

double planted_bytes(const PlantedShape& shape, const PlantedType& type) { return total_bytes(tensors_of(shape, type), true); }

PlantedModel::PlantedModel(const PlantedShape& s, const PlantedType& type, double active_share, const std::string& path)
    : shape(library_shape(s)), file(powerinfer_file_close), tensors(tensors_of(s, type)),
      firing_shares(powerinfer_check::firing_shares(s.ffn_width, active_share)) {
  for (uint32_t i = 0; i < s.head_width / 2; ++i) {
    inverse_frequencies.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / s.head_width)));
  }
  const TemporaryPath temporary{path};
  PlantedFile written(shape, type, firing_shares, path);
  for (const PlantedTensor& tensor : tensors) written.write(tensor);
  written.close();
  hottest_first = std::move(written.hottest_first);
  predictors = std::move(written.predictors);
  require(powerinfer_file_open(path.data(), length_of(path), file.out()));
}

uint64_t PlantedModel::size_bytes() const { return static_cast<uint64_t>(total_bytes(tensors, true)); }
double PlantedModel::home_bytes() const { return total_bytes(tensors, false); }
double PlantedModel::gate_row_bytes() const {
  const PlantedTensor& gate = tensors.back();
  return static_cast<double>(gate.size_bytes()) / gate.rows;
}
double PlantedModel::neuron_bytes() const { return 3 * gate_row_bytes(); }
double PlantedModel::predictor_bytes() const { return static_cast<double>(predictors.front().size_bytes()); }

}  // namespace powerinfer_check
