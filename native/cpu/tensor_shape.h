// Which shape must a tensor have, and what is it called?
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer {

// Roles from here on exist once a block.
constexpr uint32_t kFirstBlockRole = POWERINFER_ATTENTION_NORM;
constexpr uint32_t kAnyRows = 0;

struct TensorShape {
  uint32_t width;
  uint32_t rows;  // 1: a vector; kAnyRows: free
};

// Fails with INVALID_ARGUMENT if no tensor has that role.
TensorShape tensor_shape(const powerinfer_model_shape& shape, uint32_t role);
// Fails with INVALID_ARGUMENT for another shape, and for a tensor that a model of this kind would ignore.
void check_tensor(const powerinfer_model_shape& shape, uint32_t role, uint32_t width, uint32_t rows);
// Writes "blk.3 up" or "token_embedding" to `name`, for messages; any numbers are allowed.
void describe_tensor(uint32_t role, uint32_t block, char* name, uint64_t capacity);

}  // namespace powerinfer
