// Goal: a row attends to the positions before it, and gets the same bits alone and in any batch.
// Method: softmax attention in double. Keys, values and queries are below 2, so a score is below 2 · 2 · √128 = 46 and off by some 1e-6 of it, which
// e^x turns into a relative error of 4e-5 at most.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "../../quant/q8_0.h"
#include "../../test/test.h"
#include "../definitions.h"
#include "../kernels/cache_vector.h"
#include "device_array.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

constexpr uint32_t kBlock = 1;
constexpr double kTolerance = 8e-5;  // 4e-5 of a value below 2

struct Heads {
  uint32_t head_count, kv_head_count, head_width;
  uint32_t width() const { return head_count * head_width; }
};

// A cache of two blocks on the host and on the device.
class TestCache {
 public:
  TestCache(uint32_t type, const Heads& heads, uint32_t position_count, Random& random)
      : bytes_(uint64_t{2} * 2 * heads.kv_head_count * position_count * vector_bytes(type, heads.head_width)) {
    if (type == POWERINFER_CACHE_F16) fill<uint16_t>([&] { return f16_from_float(random.uniform(-2, 2)); });
    else if (type == POWERINFER_CACHE_F32) fill<float>([&] { return random.uniform(-2, 2); });
    else fill<BlockQ8_0>([&] {
      BlockQ8_0 block;
      block.d = f16_from_float(random.uniform(0.001f, 2.0f / 128));
      for (int8_t& code : block.codes) code = static_cast<int8_t>(random.below(256));
      return block;
    });
    device_ = std::make_unique<DeviceArray<uint8_t>>(bytes_);
    host = {bytes_.data(), position_count, type};
    device = {device_->get(), position_count, type};
  }
  CacheView host, device;

 private:
  template <class T, class Make>
  void fill(Make&& make) {
    for (uint64_t at = 0; at < bytes_.size(); at += sizeof(T)) {
      const T value = make();
      std::memcpy(&bytes_[at], &value, sizeof value);
    }
  }
  std::vector<uint8_t> bytes_;
  std::unique_ptr<DeviceArray<uint8_t>> device_;
};

struct Batch {
  Heads heads;
  const std::vector<TestCache>& caches;
  std::vector<BatchRow> rows;
  std::vector<float> q;  // f32[rows, stride]

  uint32_t stride() const { return row_stride(heads.width()); }
  uint32_t row_count() const { return static_cast<uint32_t>(rows.size()); }
};

Batch make_batch(const Heads& heads, const std::vector<TestCache>& caches, std::vector<BatchRow> rows, Random& random) {
  Batch batch{heads, caches, std::move(rows), {}};
  batch.q.resize(uint64_t{batch.row_count()} * batch.stride());
  for (float& value : batch.q) value = random.uniform(-2, 2);
  return batch;
}

// Rows first .. first + count of the batch, in a grid for positions up to position_max.
std::vector<float> attended(const Batch& batch, uint32_t first, uint32_t count, uint32_t position_max) {
  std::vector<CacheView> views;
  for (const TestCache& cache : batch.caches) views.push_back(cache.device);
  const DeviceArray<CacheView> caches(views);
  const DeviceArray<BatchRow> rows({batch.rows.begin() + first, batch.rows.begin() + first + count});
  const DeviceArray<float> q({batch.q.begin() + first * batch.stride(), batch.q.begin() + (first + count) * batch.stride()});
  const DeviceArray<float> out(uint64_t{count} * batch.stride(), 0.0f);
  const Heads& h = batch.heads;
  const DeviceArray<float> scratch(attend_scratch_floats(count, h.head_count, h.head_width, position_max + 1), NAN);
  launch_attend({kBlock, h.head_count, h.kv_head_count, h.head_width, rows.get(), count, position_max, caches.get(),
                 {q.get(), batch.stride(), h.width()}, {out.get(), batch.stride(), h.width()}, scratch.get()}, nullptr);
  return out.read();
}

uint32_t last_position(const Batch& batch) {
  uint32_t last = 0;
  for (const BatchRow& row : batch.rows) last = std::max(last, row.position);
  return last;
}

void check(Batch batch) {
  const std::vector<float> actual = attended(batch, 0, batch.row_count(), last_position(batch));
  std::vector<CacheView> views;
  for (const TestCache& cache : batch.caches) views.push_back(cache.host);
  std::vector<float> expected(actual.size());
  const Heads& h = batch.heads;
  attend_definition({kBlock, h.head_count, h.kv_head_count, h.head_width, batch.rows.data(), batch.row_count(), 0, views.data(),
                     {batch.q.data(), batch.stride(), h.width()}, {expected.data(), batch.stride(), h.width()}, nullptr});
  for (uint64_t i = 0; i < actual.size(); ++i) CHECK_NEAR(actual[i], expected[i], kTolerance);
}

}  // namespace

TEST("attend equals softmax attention in double, for any head width, group, position and cache type (seed 50)") {
  Random random(50);
  const uint32_t positions[] = {0, 1, 127, 128, 129, 300}, groups[] = {1, 2, 4, 7, 9};
  uint32_t trial = 0;
  for (const uint32_t head_width : {8u, 24u, 32u, 64u, 80u, 128u, 256u})
    for (uint32_t type = 0; type < (head_width % 32 == 0 ? 3u : 2u); ++type) {
      const uint32_t group = groups[trial % 5], kv_head_count = 1 + random.below(2);
      const Heads heads{group * kv_head_count, kv_head_count, head_width};
      std::vector<TestCache> caches;
      caches.emplace_back(type, heads, 301, random);
      for (uint32_t i = 0; i < 2; ++i) {
        const uint32_t position = positions[(trial * 2 + i) % 6];
        note("width " + std::to_string(head_width) + ", cache " + std::to_string(type) + ", group " + std::to_string(group) + ", position " +
             std::to_string(position));
        check(make_batch(heads, caches, {{0, position, 0}}, random));
      }
      ++trial;
    }
}

TEST("attend gives each row the bits it gets alone: in a prompt, and among rows of other caches (seed 51)") {
  Random random(51);
  const Heads heads{4, 2, 32};
  std::vector<TestCache> caches;
  for (uint32_t type = 0; type < 3; ++type) caches.emplace_back(type, heads, 300, random);
  std::vector<BatchRow> prompt, mixed;
  for (uint32_t row = 0; row < 19; ++row) prompt.push_back({0, 118 + row, 0});  // across the end of a span
  for (uint32_t row = 0; row < 9; ++row) mixed.push_back({0, random.below(300), random.below(3)});
  for (const std::vector<BatchRow>& rows : {prompt, mixed}) {
    const Batch batch = make_batch(heads, caches, rows, random);
    check(batch);
    const std::vector<float> together = attended(batch, 0, batch.row_count(), 299);
    for (uint32_t row = 0; row < batch.row_count(); row += 3) {
      note("row " + std::to_string(row) + " of " + std::to_string(batch.row_count()));
      const std::vector<float> alone = attended(batch, row, 1, batch.rows[row].position);
      CHECK(std::memcmp(&together[row * batch.stride()], alone.data(), alone.size() * sizeof(float)) == 0);
    }
  }
}

TEST("attend gives NaN for a NaN value to those rows who see it, and only to them (seed 52)") {
  Random random(52);
  const Heads heads{2, 1, 24};
  std::vector<TestCache> caches;
  caches.emplace_back(POWERINFER_CACHE_F32, heads, 140, random);
  const uint32_t at = 131;
  const float nan = NAN;
  require(cudaMemcpy(vector_at(caches[0].device, {kBlock, kValue, 1, 0, 24}, at), &nan, sizeof nan, cudaMemcpyHostToDevice));
  std::vector<BatchRow> rows;
  for (uint32_t row = 0; row < 6; ++row) rows.push_back({0, at - 3 + row, 0});
  const Batch batch = make_batch(heads, caches, rows, random);
  const std::vector<float> out = attended(batch, 0, 6, 139);
  for (uint32_t row = 0; row < 6; ++row)
    for (uint32_t i = 0; i < heads.width(); ++i) CHECK_EQUAL(std::isnan(out[row * batch.stride() + i]), i % 24 == 0 && row >= 3);
}
