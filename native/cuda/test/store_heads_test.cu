// Goal: q, k and v are normalized, rotated and cached as the CPU does it.
// Method: the definition, bit for bit: sums of squares are in double, where their order does not reach a float here. Of NaN, only that it is one.
#include <cmath>
#include <memory>
#include <string>

#include "../../quant/half.h"
#include "../../test/test.h"
#include "../definitions.h"
#include "../kernels/cache_vector.h"
#include "device_array.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

constexpr uint32_t kBlockCount = 2, kPositions = 5;

struct Shape {
  uint32_t head_count, kv_head_count, head_width, rope, rope_width;
  bool norm;
  uint64_t cache_bytes(uint32_t type) const { return uint64_t{kBlockCount} * 2 * kv_head_count * kPositions * vector_bytes(type, head_width); }
};

// Rows of q, k or v with a stride, now and then with a number that is hard to store.
std::vector<float> some_heads(uint32_t row_count, uint32_t width, bool hostile, Random& random) {
  std::vector<float> values(uint64_t{row_count} * row_stride(width));
  const float extremes[] = {0.0f, -0.0f, 1e-35f, 1e-6f, 65504.0f, 1e6f, INFINITY, NAN};
  for (uint64_t i = 0; i < values.size(); ++i) {
    if (i % row_stride(width) < width) values[i] = hostile && random.below(40) == 0 ? extremes[random.below(8)] : random.uniform(-3, 3);
  }
  return values;
}

bool same_float(float a, float b) { return bits_from_float(a) == bits_from_float(b) || (std::isnan(a) && std::isnan(b)); }
bool same_floats(const std::vector<float>& a, const std::vector<float>& b) {
  for (uint64_t i = 0; i < a.size(); ++i)
    if (!same_float(a[i], b[i])) return false;
  return a.size() == b.size();
}

// Bytes of caches, but for NaN the same. Halves are f16, and so is the scale of a block of 17 of them; f32 is compared by halves too.
bool same_caches(uint32_t type, const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  for (uint64_t i = 0; i < a.size(); i += 2) {
    if (a[i] == b[i] && a[i + 1] == b[i + 1]) continue;
    const bool is_f16 = type == POWERINFER_CACHE_F16 || (type == POWERINFER_CACHE_Q8_0 && i % kCacheBlockBytes == 0);
    const auto half = [&](const std::vector<uint8_t>& bytes) { return static_cast<uint16_t>(bytes[i] | bytes[i + 1] << 8); };
    if (!is_f16 || !std::isnan(float_from_f16(half(a))) || !std::isnan(float_from_f16(half(b)))) return false;
  }
  return true;
}

// A cache of each type that the head width allows; row r is at position r of cache r % their number.
void check(const Shape& shape, uint32_t row_count, bool hostile, Random& random) {
  const uint32_t q_width = shape.head_count * shape.head_width, kv_width = shape.kv_head_count * shape.head_width;
  std::vector<float> q = some_heads(row_count, q_width, false, random), k = some_heads(row_count, kv_width, hostile, random);
  std::vector<float> v = some_heads(row_count, kv_width, hostile, random);
  std::vector<float> cosines(uint64_t{row_count} * shape.rope_width / 2 + 1), sines(cosines.size()), norms(2 * shape.head_width);
  for (float& norm : norms) norm = random.uniform(0.5f, 2);
  for (uint64_t i = 0; i < cosines.size(); ++i) {
    const float angle = random.uniform(-3, 3);
    cosines[i] = std::cos(angle), sines[i] = std::sin(angle);
  }
  const uint32_t type_count = shape.head_width % 32 == 0 ? 3 : 2;
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<CacheView> caches, device_caches;
  std::vector<std::unique_ptr<DeviceArray<uint8_t>>> device_bytes;
  for (uint32_t type = 0; type < type_count; ++type) bytes.emplace_back(shape.cache_bytes(type), uint8_t{0xee});
  for (uint32_t type = 0; type < type_count; ++type) {
    caches.push_back({bytes[type].data(), kPositions, type});
    device_bytes.push_back(std::make_unique<DeviceArray<uint8_t>>(bytes[type]));
    device_caches.push_back({device_bytes[type]->get(), kPositions, type});
  }
  std::vector<BatchRow> rows;
  for (uint32_t row = 0; row < row_count; ++row) rows.push_back({0, row % kPositions, row % type_count});

  const DeviceArray<float> device_q(q), device_k(k), device_v(v), device_cosines(cosines), device_sines(sines), device_norms(norms);
  const DeviceArray<BatchRow> device_rows(rows);
  const DeviceArray<CacheView> device_views(device_caches);
  StoreHeads op{1, shape.head_count, shape.kv_head_count, shape.head_width, shape.rope, shape.rope_width, device_cosines.get(), device_sines.get(),
                shape.norm ? device_norms.get() : nullptr, shape.norm ? device_norms.get() + shape.head_width : nullptr, 1e-5f, device_rows.get(), row_count,
                device_views.get(), {device_q.get(), row_stride(q_width), q_width}, {device_k.get(), row_stride(kv_width), kv_width},
                {device_v.get(), row_stride(kv_width), kv_width}};
  launch_store_heads(op, nullptr);

  op.cosines = cosines.data(), op.sines = sines.data();
  if (shape.norm) op.q_norm = norms.data(), op.k_norm = norms.data() + shape.head_width;
  op.rows = rows.data(), op.caches = caches.data();
  op.q.values = q.data(), op.k.values = k.data(), op.v.values = v.data();
  store_heads_definition(op);
  CHECK(same_floats(device_q.read(), q));
  CHECK(same_floats(device_k.read(), k));
  CHECK(same_floats(device_v.read(), v));
  for (uint32_t type = 0; type < type_count; ++type) CHECK(same_caches(type, device_bytes[type]->read(), bytes[type]));
}

std::string shown(const Shape& shape, uint32_t row_count) {
  return std::to_string(shape.head_count) + " heads of " + std::to_string(shape.head_width) + ", rope " + std::to_string(shape.rope) + " of " +
         std::to_string(shape.rope_width) + ", " + std::to_string(row_count) + " rows";
}

}  // namespace

TEST("store_heads rotates and caches what its definition does, for any head width (seed 48)") {
  Random random(48);
  for (const uint32_t head_width : {8u, 24u, 32u, 64u, 80u, 128u, 256u})
    for (const uint32_t rope : {POWERINFER_ROPE_NONE, POWERINFER_ROPE_INTERLEAVED, POWERINFER_ROPE_HALVES})
      for (const bool norm : {false, true}) {
        const uint32_t kv_head_count = 1 + random.below(3), row_count = 1 + random.below(5);
        const uint32_t rope_width = rope == POWERINFER_ROPE_NONE ? 0 : random.below(2) ? head_width : 6;
        const Shape shape{kv_head_count * (1 + random.below(3)), kv_head_count, head_width, rope, rope_width, norm};
        note(shown(shape, row_count));
        check(shape, row_count, false, random);
      }
}

TEST("store_heads caches zeros, the tiny, the large and NaN as its definition does (seed 49)") {
  Random random(49);
  for (uint32_t trial = 0; trial < 10; ++trial) check({2, 2, 64, POWERINFER_ROPE_NONE, 0, false}, 5, true, random);
}
