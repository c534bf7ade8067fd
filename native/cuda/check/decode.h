// One token after the other through the public interface: on the CPU alone, or on a device that shares its FFNs with the CPU.
#pragma once
#include <memory>
#include <vector>

#include "plans.h"

namespace powerinfer_check {

// How FFNs learn which neurons to compute.
enum class Selection {
  kGate,      // every gate is read, then the rest of the neurons that fire: exact
  kPredictor  // the planted low_rank predictor names them
};

// As the engine calls it.
inline const char* name_of(Selection selection) { return selection == Selection::kGate ? "exact_gate" : "low_rank"; }

// What a run may leave out, to learn how long the rest takes. Tokens are then wrong.
enum class Parts { kAll, kWithoutCpu, kWithoutFfn };

// `low_rank`, opened with the arrays of the model.
Handle open_predictor(const PlantedModel& model);

// The model on the CPU, all of it copied into memory.
class CpuModel {
 public:
  CpuModel(const PlantedModel& planted, Selection selection, uint32_t cpu);

  const PlantedModel& planted;
  const Selection selection;
  Handle predictor;
  Handle model;

  // Of a block, for hidden f32[hidden_width] (null: what attend left); of all neurons, or of those that `active` names.
  void ffn(uint32_t block, const float* hidden, const uint32_t* active, float* partial) const;
};

// What was read so far, in bytes: weights, predictor and KV cache.
struct BytesRead {
  double device = 0, device_ffn = 0, cpu = 0, cpu_ffn = 0;
  double neuron_count = 0, computed_count = 0;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Runs a token through every block: logits f32[vocabulary_size].
  virtual void step(uint32_t token, uint32_t position, float* logits) = 0;
  // Forgets all positions.
  virtual void restart(uint32_t position_count) = 0;
  virtual BytesRead read() const = 0;

  Parts parts = Parts::kAll;
  double cpu_ffn_s = 0;  // spent in the CPU's share of FFNs so far
};

std::unique_ptr<Decoder> decode_on_cpu(const CpuModel& cpu);
// `budget_bytes` is what the device may allocate, of any kind. Throws LibraryError.
std::unique_ptr<Decoder> decode_on_device(const CpuModel& cpu, uint32_t plugin, const Plan& plan, double budget_bytes);

}  // namespace powerinfer_check
