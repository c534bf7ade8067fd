// Goal: a matrix on the device has exactly the file's weights, wherever its pieces were cut, and its size is known before.
// Method: read every octet with the function that kernels use, and compare with the decoded tensor bit for bit; and with sizes counted by hand.
#include "../octet.cuh"
#include "device_weights.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

template <uint32_t Type>
__global__ void read_octets(DownMatrix matrix, float* weights) {
  const uint32_t octets = octets_of(matrix.rows.width);
  for (uint32_t i = threadIdx.x; i < octets; i += blockDim.x) {
    float w[8];
    weights_at<Type>(matrix, blockIdx.x, i, w);
    for (uint32_t k = 0; k < 8; ++k) weights[(uint64_t{blockIdx.x} * octets + i) * 8 + k] = w[k];
  }
}

void check_weights(const DeviceWeights& weights) {
  const DownMatrix matrix = weights.down();
  const uint32_t stride = octets_of(matrix.rows.width) * 8;
  const DeviceArray<float> out(uint64_t{matrix.rows.rows} * stride, -1.0f);
  with_type(matrix.rows.type, [&](auto type) { CUDA_LAUNCH(read_octets<type>, matrix.rows.rows, 8, 0, nullptr, matrix, out.get()); });
  const std::vector<float> read = out.read();
  for (uint32_t r = 0; r < matrix.rows.rows; ++r)
    for (uint32_t i = 0; i < stride; ++i) {
      const float expected = i < matrix.rows.width ? weights.values()[uint64_t{r} * matrix.rows.width + i] : 0;
      CHECK_EQUAL(bits_from_float(read[uint64_t{r} * stride + i]), bits_from_float(expected));
    }
}

std::vector<uint32_t> some_members(uint32_t count, Random& random) {
  std::vector<uint32_t> members;
  for (uint32_t n = 0; n < count; ++n)
    if (n / 32 != 1 && random.below(3) == 0) members.push_back(n);  // one block of 32 has none
  return members;
}

MatrixSource source_of(uint32_t type, uint32_t width, uint32_t rows) { return {type, width, rows}; }

}  // namespace

TEST("a matrix on the device has every weight of the tensor bit for bit, and zeros beyond its width (seed 21)") {
  Random random(21);
  for (const uint32_t type : kDeviceTypes)
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t rows : {1u, 7u, 65u}) {
        const uint32_t block = block_weights(type);
        for (const uint32_t width : block == 1 ? std::vector<uint32_t>{1, 7, 31, 32, 33, 65} : std::vector<uint32_t>{block, 3 * block}) {
          note(std::string(name_of(type)) + " [" + std::to_string(width) + ", " + std::to_string(rows) + "]");
          check_weights(DeviceWeights(type, width, rows, random, values));
          if (rows > 1) check_weights(DeviceWeights(type, width, rows, random, values, false, some_members(rows, random)));
        }
      }
}

TEST("a down on the device has every weight by neuron, of all neurons or of a share with gaps (seed 22)") {
  Random random(22);
  for (const uint32_t type : kDeviceTypes)
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t hidden_width : {1u, 7u, 33u, 64u, 100u}) {
        const uint32_t ffn_width = block_weights(type) == 1 ? 67 : block_weights(type) == 32 ? 96 : 512;
        note(std::string(name_of(type)) + " hidden " + std::to_string(hidden_width));
        check_weights(DeviceWeights(type, ffn_width, hidden_width, random, values, true));
        check_weights(DeviceWeights(type, ffn_width, hidden_width, random, values, true, some_members(ffn_width, random)));
      }
}

TEST("pack sends the same bytes through a buffer of any size from staging_bytes_min on (seed 23)") {
  Random random(23);
  for (const uint32_t type : kDeviceTypes)
    for (const bool down : {false, true}) {
      const std::vector<uint8_t> file = some_weights(type, 1024 * 300, random, Values::kOrdinary);
      const std::vector<uint32_t> members = some_members(down ? 1024 : 300, random);
      MatrixSource source{type, 1024, 300, file.data(), down, &members};
      const uint64_t least = staging_bytes_min(source);
      const std::vector<uint8_t> expected = packed(source, uint64_t{1} << 22);
      for (const uint64_t staging_bytes : {least, least * 2 + 5, least * 7}) CHECK(packed(source, staging_bytes) == expected);
      bool refused = false;
      try {
        packed(source, least - 1);
      } catch (const Failure& failure) {
        refused = failure.status == POWERINFER_OUT_OF_MEMORY;
      }
      CHECK(refused);
    }
}

TEST("layout_of counts codes, upper bits and scales; each plane begins at a multiple of 256") {
  CHECK_EQUAL(layout_of(source_of(F32, 33, 4)).size_bytes, uint64_t{4 * 64 * 4});
  CHECK_EQUAL(layout_of(source_of(F16, 33, 3)).size_bytes, uint64_t{512});  // 3 * 128, rounded up
  CHECK_EQUAL(layout_of(source_of(Q8_0, 256, 64)).size_bytes, uint64_t{64 * 256 + 64 * 8 * 2});
  CHECK_EQUAL(layout_of(source_of(Q4_0, 256, 64)).size_bytes, uint64_t{64 * 128 + 64 * 8 * 2});
  CHECK_EQUAL(layout_of(source_of(Q4_K, 512, 64)).size_bytes, uint64_t{64 * 256 + 64 * 16 * 2 + 64 * 2 * 4});
  CHECK_EQUAL(layout_of(source_of(Q6_K, 512, 64)).size_bytes, uint64_t{64 * 256 + 64 * 128 + 64 * 32 + 64 * 2 * 2});
  MatrixSource down = source_of(Q4_K, 512, 64);  // 64 columns of 512 neurons
  down.down = true;
  CHECK_EQUAL(layout_of(down).size_bytes, uint64_t{512 * 32 + 16 * 64 * 2 + 2 * 64 * 4 + 512 * 4});
  const std::vector<uint32_t> members = {0, 31, 32, 511};
  down.members = &members;
  CHECK_EQUAL(layout_of(down).size_bytes, uint64_t{256 + 16 * 64 * 2 + 2 * 64 * 4 + 256});
}

TEST("a share without neurons is an empty matrix, of which nothing is sent but the scales of a DOWN") {
  const std::vector<uint32_t> nobody;
  const std::vector<uint8_t> file(row_bytes(Q4_0, 64 * 32));
  MatrixSource source{Q4_0, 64, 32, file.data(), false, &nobody};
  CHECK_EQUAL(layout_of(source).size_bytes, uint64_t{0});
  CHECK(packed(source, 1).empty());
  source.down = true;
  CHECK_EQUAL(layout_of(source).size_bytes, uint64_t{256});  // 2 * 32 * 2, rounded up
  CHECK(packed(source, staging_bytes_min(source))[127] == 0);
  CHECK(!matrix_at(source, layout_of(source), nullptr).rows.bound());
}

TEST("layout_of refuses a matrix of 2^32 octets, and takes one of a row less") {
  powerinfer_status status = POWERINFER_OK;
  try {
    layout_of(source_of(F16, 1u << 19, 1u << 16));
  } catch (const Failure& failure) {
    status = failure.status;
  }
  CHECK_EQUAL(status, POWERINFER_UNSUPPORTED);
  CHECK_EQUAL(layout_of(source_of(F16, 1u << 19, (1u << 16) - 1)).size_bytes, uint64_t{1 << 20} * ((1 << 16) - 1));
}

TEST("layout_of refuses types that the device does not read, by name, and rows that are not whole blocks") {
  for (const uint32_t type : {Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q5_K}) {
    powerinfer_status status = POWERINFER_OK;
    std::string state;
    try {
      layout_of(source_of(type, 256, 1));
    } catch (const Failure& failure) {
      status = failure.status;
      state = failure.state;
    }
    CHECK_EQUAL(status, POWERINFER_UNSUPPORTED);
    CHECK(state.find(name_of(type)) != std::string::npos);
  }
  powerinfer_status status = POWERINFER_OK;
  try {
    layout_of(source_of(Q4_K, 288, 1));
  } catch (const Failure& failure) {
    status = failure.status;
  }
  CHECK_EQUAL(status, POWERINFER_INVALID_ARGUMENT);
}
