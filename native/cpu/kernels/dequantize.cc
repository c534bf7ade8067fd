// What are the weights in these bytes? The formats' own definitions, one after another.
#include "variants.h"

namespace powerinfer {

template <class Element>
void dequantize_float(const uint8_t* elements, float* weights, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) weights[i] = Element::at(elements, i);
}

template <class Block>
void dequantize_blocks(const uint8_t* blocks, float* weights, uint64_t count) {
  for (uint64_t i = 0; i < count / Block::kWeights; ++i) decode(reinterpret_cast<const Block*>(blocks)[i], weights + i * Block::kWeights);
}

template void dequantize_float<ElementF32>(const uint8_t*, float*, uint64_t);
template void dequantize_float<ElementF16>(const uint8_t*, float*, uint64_t);
template void dequantize_float<ElementBF16>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ8_0>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ4_0>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockG2>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockG3>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ4_1>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ5_0>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ5_1>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ2_K>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ3_K>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ4_K>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ5_K>(const uint8_t*, float*, uint64_t);
template void dequantize_blocks<BlockQ6_K>(const uint8_t*, float*, uint64_t);

}  // namespace powerinfer
