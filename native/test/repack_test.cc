// Goal: a repacked `down` holds exactly the file's weights, and its size and read counts are those of the layout.
// Method: read the layout as repack.h draws it, with code of the test's own, and compare with the decoded matrix bit for bit.
#include <algorithm>
#include "../cpu/repack.h"
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

// Weight of neuron n in column c, by repack.h's drawing.
float repacked_weight(uint32_t type, const std::vector<uint8_t>& matrix, uint32_t hidden_width, uint32_t n, uint32_t c) {
  if (block_weights(type) == 1) {
    const uint64_t bytes = row_bytes(type, 1);
    const auto from = matrix.begin() + (uint64_t{n} * hidden_width + c) * bytes;
    return decoded(type, {from, from + bytes}, 1)[0];
  }
  const bool small_groups = type == Q2_K || type == Q3_K || type == Q6_K, k_type = block_weights(type) == 256;
  const bool packed = type == Q4_0 || type == Q4_K;
  const bool offsets = type == Q4_1 || type == Q5_1 || type == Q2_K || type == Q4_K || type == Q5_K;
  const uint64_t neurons = small_groups ? 16 : 32, groups = k_type ? 256 / neurons : 1, columns = (hidden_width + 63) / 64 * 64;
  const uint64_t code_row = packed ? columns / 2 : columns, scale_rows = offsets ? 2 : 1;
  const uint64_t group_bytes = (k_type ? scale_rows * columns : 0) + neurons * code_row;
  const uint64_t record_bytes = scale_rows * columns * 2 + groups * group_bytes;
  const uint8_t* record = matrix.data() + n / (neurons * groups) * record_bytes;
  const uint8_t* group = record + scale_rows * columns * 2 + n / neurons % groups * group_bytes;
  const auto scale_at = [&](uint64_t row) {
    uint16_t half = 0;
    std::memcpy(&half, record + (row * columns + c) * 2, 2);
    return float_from_f16(half) * (k_type ? static_cast<float>(static_cast<int8_t>(group[row * columns + c])) : 1.0f);
  };
  const uint8_t* codes = group + (k_type ? scale_rows * columns : 0) + n % neurons * code_row;
  int code;
  if (packed) {
    // Of 64 columns, runs of four: 0 2 4 6 and then 1 3 5 7 are the low nibbles of 32 bytes, the other eight the high ones.
    const uint32_t run = c % 32 / 4, place = run % 2 * 4 + run / 2;
    const int byte = codes[c / 64 * 32 + place * 4 + c % 4];
    code = c % 64 < 32 ? byte % 16 : byte / 16;
    if (type == Q4_0) code -= 8;
  } else {
    code = static_cast<int8_t>(codes[c]);
  }
  const float product = scale_at(0) * static_cast<float>(code);
  return !offsets ? product : k_type ? product - scale_at(1) : product + scale_at(1);
}

}  // namespace

TEST("repack_down keeps every weight bit for bit, at any width and thread count (seed 9)") {
  Random random(9);
  for (const uint32_t type : kAllTypes)
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t hidden_width : {1u, 31u, 32u, 64u, 100u, 193u, 1100u}) {
        const uint32_t ffn_width = block_weights(type) == 1 ? 130 : block_weights(type) == 32 ? 160 : 512;
        const auto from = some_weights(type, uint64_t{hidden_width} * ffn_width, random, values);
        const auto weights = decoded(type, from, uint64_t{hidden_width} * ffn_width);
        std::vector<uint8_t> to(repacked_down_bytes(type, hidden_width, ffn_width), 0xee);
        ThreadPool pool(1 + random.below(3));
        repack_down(pool, type, hidden_width, ffn_width, from.data(), to.data());
        for (uint32_t n = 0; n < ffn_width; ++n)
          for (uint32_t c = 0; c < hidden_width; ++c)
            CHECK_EQUAL(bits_from_float(repacked_weight(type, to, hidden_width, n, c)), bits_from_float(weights[uint64_t{c} * ffn_width + n]));
      }
}

TEST("repacked_down_bytes is the size of the file's tensor for block types of 32 and whole widths, and 0 for what cannot be") {
  for (const uint32_t type : {F32, F16, BF16, Q8_0, Q4_0}) CHECK_EQUAL(repacked_down_bytes(type, 64, 96), row_bytes(type, 64 * 96));
  CHECK_EQUAL(repacked_down_bytes(Q4_K, 64, 256), uint64_t{2 * 64 * 2 + 8 * (2 * 64 + 32 * 32)});
  CHECK_EQUAL(repacked_down_bytes(Q6_K, 64, 256), uint64_t{64 * 2 + 16 * (64 + 16 * 64)});
  CHECK_EQUAL(repacked_down_bytes(Q8_0, 64, 95), uint64_t{0});
  CHECK_EQUAL(repacked_down_bytes(Q4_K, 64, 128), uint64_t{0});
  CHECK_EQUAL(repacked_down_bytes(99, 64, 256), uint64_t{0});
}

TEST("repacked_read_bytes counts codes per neuron and scales per touched group and block") {
  const uint32_t neurons[] = {0, 31, 32, 200};
  CHECK_EQUAL(repacked_read_bytes(Q8_0, 64, neurons, 4), uint64_t{4 * 64 + 3 * 64 * 2});
  CHECK_EQUAL(repacked_read_bytes(Q4_1, 64, neurons, 4), uint64_t{4 * 64 + 3 * 2 * 64 * 2});
  CHECK_EQUAL(repacked_read_bytes(Q4_K, 64, neurons, 4), uint64_t{4 * 32 + 3 * 2 * 64 + 2 * 64 * 2});
  CHECK_EQUAL(repacked_read_bytes(Q6_K, 64, neurons, 4), uint64_t{4 * 64 + 4 * 64 + 64 * 2});
  CHECK_EQUAL(repacked_read_bytes(F16, 64, neurons, 4), uint64_t{4 * 64 * 2});
  CHECK_EQUAL(repacked_read_bytes(Q8_0, 64, neurons, 0), uint64_t{0});
}
