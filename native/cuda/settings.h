// What was a predictor opened with? Its own open has checked all of it: what is missing here was never asked for.
#pragma once
#include <algorithm>
#include <cstdio>
#include <vector>

#include "../include/powerinfer_plugin.h"
#include "pack.h"
#include "status.h"

namespace powerinfer::cuda {

// The name of a setting of one block: "rank.3".
struct BlockSetting {
  char text[48];
  BlockSetting(const char* name, uint32_t block) { std::snprintf(text, sizeof text, "%s.%u", name, block); }
};

inline uint32_t number_of(const powerinfer_plugin_context& context, const char* name) {
  return static_cast<uint32_t>(powerinfer_option_number(&context, name, 0));
}
inline uint32_t number_of(const powerinfer_plugin_context& context, const char* name, uint32_t block) {
  return number_of(context, BlockSetting(name, block).text);
}

struct ArrayView {
  const uint8_t* bytes;
  uint64_t size_bytes;
};

// Fails with INVALID_ARGUMENT if there is none of that name.
ArrayView array_of(const powerinfer_plugin_context& context, const char* name, uint32_t block);
// `width` in whole blocks of the type.
uint32_t whole_blocks(uint32_t type, uint32_t width);
// Copies to the device, and waits: `from` is not page-locked.
void send_array(const ArrayView& from, void* to, cudaStream_t stream);
void send_matrix(const MatrixSource& source, uint8_t* to, cudaStream_t stream);

}  // namespace powerinfer::cuda
