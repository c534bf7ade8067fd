// How do Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minimums into 12 bytes?
#pragma once
#include <cstdint>
#include <cstring>

namespace powerinfer {

// Writes scales 0 .. 7 to unpacked[0 .. 7] and minimums 0 .. 7 to unpacked[8 .. 15]. Groups 0 .. 3 lie in the low 6 bits of bytes
// 0 .. 3 (scales) and 4 .. 7 (minimums); groups 4 .. 7 in the nibbles of bytes 8 .. 11, their upper two bits atop bytes 0 .. 7.
inline void unpack_k_scales(const uint8_t packed[12], uint8_t unpacked[16]) {
  uint32_t words[3];
  std::memcpy(words, packed, sizeof words);
  const uint32_t out[4] = {words[0] & 0x3f3f3f3fu, (words[2] & 0x0f0f0f0fu) | (words[0] >> 2 & 0x30303030u), words[1] & 0x3f3f3f3fu,
                           (words[2] >> 4 & 0x0f0f0f0fu) | (words[1] >> 2 & 0x30303030u)};
  std::memcpy(unpacked, out, sizeof out);
}

}  // namespace powerinfer
