// Goal: every activation, alone and gated.
// Method: the definition, which is the library's own activations. expf and erff of a device are within 2 ulp, and few operations surround them: 8
// roundings of the largest value that is met on the way, which of GELU is x and not the result.
#include "../definitions.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

TEST("activate equals its definition for every pair of functions, and NaN stays NaN (seed 33)") {
  Random random(33);
  for (uint32_t f = POWERINFER_ACTIVATION_IDENTITY; f <= POWERINFER_ACTIVATION_GELU; ++f)
    for (uint32_t g = POWERINFER_ACTIVATION_IDENTITY; g <= POWERINFER_ACTIVATION_GELU; ++g)
      for (const uint32_t width : {1u, 33u, 256u, 300u}) {
        const bool gated = random.below(3) != 0;
        note("f " + std::to_string(f) + " g " + std::to_string(g) + " width " + std::to_string(width));
        TestRows x(3, width, random), up(3, width, random);
        const std::vector<float> before = x.read();
        Activate op{x.on_device().values, gated ? up.on_device().values : nullptr, x.stride(), width, 3, f, g};
        launch_activate(op, nullptr);
        op.x = x.on_host().values;
        op.up = gated ? up.on_host().values : nullptr;
        activate_definition(op);
        const auto magnitude = [](float value) { return std::max(std::abs(double{value}), double{value} * value); };
        x.check([&](uint32_t r, uint32_t i) {
          return 8 * kRounding * magnitude(before[uint64_t{r} * x.stride() + i]) * (gated ? magnitude(up.row(r)[i]) : 1);
        });
      }
  for (uint32_t f = POWERINFER_ACTIVATION_IDENTITY; f <= POWERINFER_ACTIVATION_GELU; ++f) {
    const DeviceArray<float> x(1, std::nanf(""));
    launch_activate({x.get(), nullptr, 1, 1, 1, f, POWERINFER_ACTIVATION_IDENTITY}, nullptr);
    CHECK(std::isnan(x.read()[0]));
  }
}
