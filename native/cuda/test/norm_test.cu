// Goal: norms of rows, of all or of some that are listed.
// Method: the library's norms, which sum in double. A sum here is chains of width / 256 additions and then 13 more, so it is wrong by that many roundings
// of what is summed: those of the center come from the mean of |x|, those of the scale are relative. A few roundings follow.
#include "../../cpu/kernels/variants.h"
#include "../kernels.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

struct Moments {
  double center, scale, magnitude;
};

Moments moments_of(uint32_t kind, const float* x, uint32_t width, double epsilon) {
  Moments m{};
  for (uint32_t i = 0; i < width; ++i) m.magnitude += std::abs(double{x[i]}) / width;
  for (uint32_t i = 0; kind == POWERINFER_NORM_LAYER && i < width; ++i) m.center += double{x[i]} / width;
  double variance = 0;
  for (uint32_t i = 0; i < width; ++i) variance += (x[i] - m.center) * (x[i] - m.center) / width;
  m.scale = 1 / std::sqrt(variance + epsilon);
  return m;
}

void check_norm(uint32_t kind, uint32_t width, bool biased, const std::vector<uint32_t>& listed, Random& random) {
  constexpr float kEpsilon = 1e-5f;
  const uint32_t count = listed.empty() ? 4 : static_cast<uint32_t>(listed.size());
  TestRows x(4, width, random), out(count, width, random), weight(1, width, random), bias(1, width, random);
  const DeviceArray<uint32_t> rows(listed.empty() ? std::vector<uint32_t>{0} : listed);
  launch_norm({kind, kEpsilon, weight.on_device().values, biased ? bias.on_device().values : nullptr, x.on_device(),
               listed.empty() ? nullptr : rows.get(), count, out.on_device()},
              nullptr);
  const auto from = [&](uint32_t r) { return x.row(listed.empty() ? r : listed[r]); };
  for (uint32_t r = 0; r < count; ++r) {
    float* const to = out.on_host().values + uint64_t{r} * out.stride();
    (kind == POWERINFER_NORM_RMS ? rms_norm : layer_norm)(from(r), weight.row(0), biased ? bias.row(0) : nullptr, kEpsilon, width, to);
  }
  const double roundings = width / 256.0 + 20;
  out.check([&](uint32_t r, uint32_t i) {
    const Moments m = moments_of(kind, from(r), width, kEpsilon);
    const double relative = (std::abs(from(r)[i] - m.center) + m.magnitude) * m.scale * std::abs(weight.row(0)[i]);
    return kRounding * (roundings * relative + 2 * std::abs(bias.row(0)[i]));
  });
}

}  // namespace

TEST("norm is the library's RMS norm and layer norm within the roundings of its sums, of all rows or listed ones (seed 32)") {
  Random random(32);
  for (const uint32_t width : {1u, 7u, 31u, 32u, 33u, 64u, 65u, 256u, 288u, 1100u}) {
    note("width " + std::to_string(width));
    check_norm(POWERINFER_NORM_RMS, width, false, {}, random);
    check_norm(POWERINFER_NORM_LAYER, width, false, {3, 0}, random);
    check_norm(POWERINFER_NORM_LAYER, width, true, {}, random);
  }
}
