// Goal: the rows of a batch begin as their tokens' vectors and, where positions are learned, the positions'.
// Method: the definition, bit for bit: a weight is decoded exactly and two are added with one rounding.
#include "../definitions.h"
#include "device_weights.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

TEST("embed equals its definition in every type, with and without positions (seed 31)") {
  Random random(31);
  const std::vector<BatchRow> rows = {{4, 0, 0}, {0, 5, 0}, {6, 2, 0}, {4, 3, 0}, {1, 1, 0}};
  const DeviceArray<BatchRow> device_rows(rows);
  for (const uint32_t type : kDeviceTypes)
    for (const bool learned : {false, true})
      for (const uint32_t width : block_weights(type) == 1 ? std::vector<uint32_t>{7, 32, 33, 1100} : std::vector<uint32_t>{block_weights(type) * 5}) {
        note(std::string(name_of(type)) + " width " + std::to_string(width));
        const DeviceWeights tokens(type, width, 7, random);
        const DeviceWeights positions(F32, width, 8, random);
        TestRows x(static_cast<uint32_t>(rows.size()), width, random);
        Embed op{tokens.matrix(), learned ? positions.matrix() : DeviceMatrix{}, 2, device_rows.get(), x.count(), x.on_device()};
        launch_embed(op, nullptr);
        op.rows = rows.data();
        op.x = x.on_host();
        embed_definition(op, tokens.values().data(), learned ? positions.values().data() : nullptr);
        x.check([](uint32_t, uint32_t) { return 0.0; });
      }
}
