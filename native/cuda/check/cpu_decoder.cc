// One token after the other on the CPU alone; and the CPU's share of FFNs for a device.
#include "decode.h"

namespace powerinfer_check {
namespace {

void set_number(uint32_t predictor, const std::string& name, double value) {
  require(powerinfer_predictor_option(predictor, name.data(), length_of(name), POWERINFER_OPTION_NUMBER, value, nullptr, 0));
}

template <class T>
void set_array(uint32_t predictor, const std::string& name, const std::vector<T>& values) {
  require(powerinfer_predictor_array(predictor, name.data(), length_of(name), values.data(), static_cast<double>(values.size() * sizeof(T))));
}

bool is_read_whole(const PlantedTensor& tensor, Selection selection) {
  if (tensor.role == POWERINFER_GATE) return selection == Selection::kGate;
  return tensor.role != POWERINFER_UP && tensor.role != POWERINFER_DOWN_BY_NEURON;
}

class CpuDecoder : public Decoder {
 public:
  explicit CpuDecoder(const CpuModel& cpu) : cpu_(cpu), cache_(powerinfer_cache_close) {}

  void restart(uint32_t position_count) override {
    cache_ = Handle(powerinfer_cache_close);
    require(powerinfer_cache_open(cpu_.model, position_count, POWERINFER_CACHE_F16, cache_.out()));
  }

  void step(uint32_t token, uint32_t position, float* logits) override {
    const powerinfer_row row{token, position, cache_};
    const uint32_t first = 0;
    require(powerinfer_embed(cpu_.model, &row, 1));
    for (uint32_t block = 0; block < cpu_.planted.shape.block_count; ++block) {
      require(powerinfer_attend(cpu_.model, block, nullptr));
      cpu_.ffn(block, nullptr, nullptr, nullptr);
      require(powerinfer_merge(cpu_.model, block, nullptr));
    }
    require(powerinfer_logits(cpu_.model, &first, 1, logits));
    if (cpu_.selection == Selection::kPredictor) predictor_bytes_ += cpu_.planted.predictor_bytes() * cpu_.planted.shape.block_count;
  }

  BytesRead read() const override {
    powerinfer_counters counters{};
    counters.struct_size = sizeof counters;
    require(powerinfer_counters_read(cpu_.model, &counters));
    BytesRead bytes;
    bytes.cpu = counters.weight_bytes + counters.cache_bytes + predictor_bytes_;
    bytes.cpu_ffn = counters.ffn_bytes + predictor_bytes_;
    bytes.neuron_count = counters.neuron_count;
    bytes.computed_count = counters.neuron_computed_count;
    return bytes;
  }

 private:
  const CpuModel& cpu_;
  Handle cache_;
  double predictor_bytes_ = 0;
};

}  // namespace

Handle open_predictor(const PlantedModel& model) {
  constexpr uint32_t kF16 = 1;
  uint32_t builtin = 0;
  require(powerinfer_plugin_builtin("low_rank", 8, &builtin));
  const std::vector<float> thresholds(model.shape.ffn_width, 0);
  Handle predictor(powerinfer_predictor_close);
  require(powerinfer_predictor_new(builtin, &model.shape, predictor.out()));
  for (uint32_t block = 0; block < model.shape.block_count; ++block) {
    const std::string number = "." + std::to_string(block);
    set_number(predictor, "rank" + number, kDirections + 1);
    set_number(predictor, "down_type" + number, kF16);
    set_number(predictor, "up_type" + number, kF16);
    set_array(predictor, "down" + number, model.predictors[block].down);
    set_array(predictor, "up" + number, model.predictors[block].up);
    set_array(predictor, "thresholds" + number, thresholds);
  }
  require(powerinfer_predictor_open(predictor));
  return predictor;
}

CpuModel::CpuModel(const PlantedModel& given, Selection chosen, uint32_t cpu)
    : planted(given), selection(chosen), predictor(open_predictor(given)), model(powerinfer_model_close) {
  require(powerinfer_model_open(cpu, &planted.shape, model.out()));
  for (const PlantedTensor& tensor : planted.tensors) {
    require(powerinfer_model_bind(model, tensor.role, tensor.block, planted.file, static_cast<double>(tensor.offset_bytes),
                                  tensor.type == nullptr ? 0 : tensor.type->number, tensor.width, tensor.rows));
    if (tensor.rows == 1 || tensor.role == POWERINFER_TOKEN_EMBEDDING) continue;
    const uint32_t layout = is_read_whole(tensor, selection) ? POWERINFER_RESIDENT_PANELS : POWERINFER_RESIDENT_ROWS;
    require(powerinfer_model_make_resident(model, tensor.role, tensor.block, layout));
  }
  require(powerinfer_model_rope(model, planted.inverse_frequencies.data(), static_cast<uint32_t>(planted.inverse_frequencies.size())));
  require(powerinfer_model_ready(model));
}

void CpuModel::ffn(uint32_t block, const float* hidden, const uint32_t* active, float* partial) const {
  const bool names = selection == Selection::kPredictor && active == nullptr;
  if (names) require(powerinfer_ffn_selected(model, block, hidden, 1, predictor, 0, partial));
  else require(powerinfer_ffn(model, block, hidden, 1, active, selection == Selection::kGate ? POWERINFER_FFN_CONFIRM : 0, partial));
}

std::unique_ptr<Decoder> decode_on_cpu(const CpuModel& cpu) { return std::make_unique<CpuDecoder>(cpu); }

}  // namespace powerinfer_check
