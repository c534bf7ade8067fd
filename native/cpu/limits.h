// How large may a model be? Bounds on every number a caller names, far above any known model, so that products of them fit 64 bits.
#pragma once
#include <cstdint>

namespace powerinfer {

constexpr uint32_t kBlockCountMax = 1u << 12;
constexpr uint32_t kWidthMax = 1u << 20;  // hidden_width, ffn_width, head_count * head_width
constexpr uint32_t kVocabularySizeMax = 1u << 24;
constexpr uint32_t kRowCountMax = 1u << 16;
constexpr uint32_t kPositionCountMax = 1u << 24;
constexpr uint32_t kThreadCountMax = 1u << 10;
constexpr uint32_t kGemmSizeMax = 1u << 28;  // of a product: rows, columns, terms of a sum
constexpr uint32_t kPathLengthMax = 1u << 12;
constexpr double kFileBytesMax = 9007199254740992.0;  // 2^53: doubles are exact below

}  // namespace powerinfer
