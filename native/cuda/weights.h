// Which tensors does the device hold, and where do they lie?
#pragma once
#include <vector>

#include "../include/powerinfer_plugin.h"
#include "layout.h"
#include "memory.h"

namespace powerinfer::cuda {

// Tensors of one block. Vectors are f32 on the device; what is null or not bound, the model does not have or the device does not need.
struct BlockWeights {
  const float *attention_norm = nullptr, *attention_norm_bias = nullptr, *ffn_norm = nullptr, *ffn_norm_bias = nullptr;
  DeviceMatrix q, k, v, attention_output;
  const float *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr, *attention_output_bias = nullptr, *q_norm = nullptr, *k_norm = nullptr;
  DeviceMatrix gate, up;  // rows of the share
  DownMatrix down;
  const float *up_bias = nullptr;  // f32[share_count]
  const float *down_bias = nullptr;

  const uint32_t* members = nullptr;  // u32[share_count] on the device, ascending: the model's number of each neuron; null: the share is the whole block
  uint32_t share_count = 0;
  bool whole = true;
};

class Weights {
 public:
  // `context` outlives this.
  explicit Weights(const powerinfer_device_context& context);
  Weights(const Weights&) = delete;

  // Takes note of a tensor, whose data must live until `upload`. Fails with UNSUPPORTED for a type that the device does not read.
  void bind(const powerinfer_tensor& tensor);
  // Allocates and copies everything; fails with INCOMPLETE if a tensor is missing, and with OUT_OF_MEMORY before anything is allocated.
  void upload(Budget& budget, cudaStream_t stream);

  DeviceMatrix token_embedding, position_embedding, output;
  const float *output_norm = nullptr, *output_norm_bias = nullptr, *output_bias = nullptr;
  std::vector<BlockWeights> blocks;
  uint32_t share_count_max = 0;

  // Bytes in the file of one row of a tensor, and of all of it; 0 if there is none: what counters count.
  double row_bytes(uint32_t role, uint32_t block) const;
  double tensor_bytes(uint32_t role, uint32_t block) const;
  // Of the part of down that belongs to one neuron.
  double down_neuron_bytes(uint32_t block) const;

 private:
  // What is to be copied where.
  struct Copies {
    struct Matrix {
      MatrixSource source;
      MatrixLayout layout;
      uint8_t* to;
    };
    struct Vector {
      std::vector<float> values;
      float* to;
    };
    struct Members {
      const std::vector<uint32_t>* numbers;
      uint32_t* to;
    };
    std::vector<Matrix> matrices;
    std::vector<Vector> vectors;
    std::vector<Members> members;
  };

  const powerinfer_tensor* find(uint32_t role, uint32_t block) const;
  const powerinfer_tensor& need(uint32_t role, uint32_t block) const;
  DeviceMatrix matrix(Layout& layout, Copies& copies, const powerinfer_tensor& tensor, const std::vector<uint32_t>* members);
  const float* vector(Layout& layout, Copies& copies, uint32_t role, uint32_t block, const std::vector<uint32_t>* members = nullptr);
  void lay_out(Layout& layout, Copies& copies);
  void lay_out_attention(Layout& layout, Copies& copies, uint32_t block);
  void lay_out_ffn(Layout& layout, Copies& copies, uint32_t block);

  const powerinfer_device_context& context_;
  const powerinfer_model_shape& shape_;
  std::vector<powerinfer_tensor> tensors_;
  std::vector<std::vector<uint32_t>> members_;  // [block_count], the model's numbers of a share's neurons; empty: the whole block
  DeviceMemory memory_;
};

}  // namespace powerinfer::cuda
