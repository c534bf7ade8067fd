// What is in each tensor of a planted model, row after row (planted_model.h says why).
#pragma once
#include <cstdio>
#include <functional>

#include "planted_model.h"

namespace powerinfer_check {

class PlantedFile {
 public:
  // Throws std::runtime_error if the file cannot be made, or not be written: the disk may be full.
  PlantedFile(const powerinfer_model_shape& shape, const PlantedType& type, const std::vector<double>& firing_shares, const std::string& path);
  PlantedFile(const PlantedFile&) = delete;

  // In the order of their offsets.
  void write(const PlantedTensor& tensor);
  void close();

  std::vector<std::vector<uint32_t>> hottest_first;
  std::vector<PlantedPredictor> predictors;

 private:
  // Calls row(n, to) for every row, where `to` has room for one.
  void write_rows(const PlantedTensor& tensor, const std::function<void(uint32_t n, uint8_t* to)>& row);
  void write_table(const PlantedTensor& tensor, double spread, double constant);
  void write_random(const PlantedTensor& tensor, double spread, bool zero_rows, bool zero_channels);
  void write_gate(const PlantedTensor& tensor);
  void put(const void* bytes, uint64_t size_bytes);

  const powerinfer_model_shape& shape_;
  const PlantedType& type_;
  const std::vector<double>& firing_shares_;
  NormalPool pool_;
  Random random_;
  std::unique_ptr<FILE, int (*)(FILE*)> file_;
  std::vector<double> thresholds_;  // by rank
  double constant_;                 // of the constant channels, where the others have standard deviation 1
  double half_block_growth_;        // what attention and FFN of a block each add to the residual stream's variance
  double activation_energy_;        // the mean square of an activation
  uint64_t written_bytes_ = 0;
};

}  // namespace powerinfer_check
