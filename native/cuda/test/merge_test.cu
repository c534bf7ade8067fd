// Goal: the residual after an FFN, of whatever came in.
// Method: the definition, in double. A value is the sum of at most 11, so it is wrong by at most as many roundings of their magnitudes, here 3 each.
#include "../definitions.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

TEST("merge adds the base, the parts, what another device adds and a bias, each of which may be missing (seed 34)") {
  constexpr uint32_t kRows = 3, kPartRows = 5;
  Random random(34);
  for (const uint32_t width : {1u, 31u, 64u, 300u})
    for (uint32_t given = 0; given < 16; ++given) {
      note("width " + std::to_string(width) + " given " + std::to_string(given));
      const uint32_t part_count = given & 2 ? kDownParts : 0;
      TestRows out(kRows, width, random), base(kRows, width, random), parts(kDownParts * kPartRows, width, random);
      TestRows other(kRows, width + 5, random), bias(1, width, random);
      const auto op_of = [&](auto at) -> Merge {
        return {given & 1 ? at(base).values : nullptr,  at(parts).values, part_count, kPartRows, given & 4 ? at(other).values : nullptr, other.stride(),
                given & 8 ? at(bias).values : nullptr, kRows,            at(out)};
      };
      launch_merge(op_of([](TestRows& rows) { return rows.on_device(); }), nullptr);
      merge_definition(op_of([](TestRows& rows) { return rows.on_host(); }));
      out.check([](uint32_t, uint32_t) { return 11 * 11 * 3 * kRounding; });
    }
}

TEST("merge writes where it reads its base (seed 35)") {
  Random random(35);
  TestRows x(2, 65, random), part(2, 65, random);
  const std::vector<float> before(x.row(0), x.row(0) + 65);
  launch_merge({x.on_device().values, part.on_device().values, 1, 2, nullptr, 0, nullptr, 2, x.on_device()}, nullptr);
  const std::vector<float> after = x.read();
  for (uint32_t i = 0; i < 65; ++i) CHECK_EQUAL(after[i], part.row(0)[i] + before[i]);
}
