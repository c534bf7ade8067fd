// Goal: lists name exactly the wanted and the firing neurons of a share, ascending, whatever the share.
// Method: the definitions, at sizes on both sides of what a warp and the thread block take at a time, with lists that are empty, full and in between.
#include <cmath>
#include <cstring>
#include <string>

#include "../../test/test.h"
#include "../definitions.h"
#include "device_array.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

constexpr uint32_t kUnwritten = 0xeeeeeeee;

// Ascending numbers below `end`, of 100 some `share`.
std::vector<uint32_t> some_numbers(uint32_t end, uint32_t share, Random& random) {
  std::vector<uint32_t> numbers;
  for (uint32_t n = 0; n < end; ++n)
    if (random.below(100) < share) numbers.push_back(n);
  return numbers;
}

// Numbers with one more behind them that nobody may read: an empty list has an address too.
struct Numbers {
  uint32_t count;
  std::vector<uint32_t> values;
  explicit Numbers(std::vector<uint32_t> numbers) : count(static_cast<uint32_t>(numbers.size())), values(std::move(numbers)) {
    values.push_back(kUnwritten);
  }
};

void check_sets(uint32_t model_count, const Numbers* members, uint32_t row_count, uint32_t share, Random& random) {
  const uint32_t words = (model_count + 31) / 32, share_count = members != nullptr ? members->count : model_count;
  std::vector<uint32_t> active(uint64_t{row_count} * words), ids(share_count + 1, kUnwritten);
  for (uint32_t row = 0; row < row_count; ++row)
    for (const uint32_t n : some_numbers(model_count, share, random)) active[row * words + n / 32] |= 1u << n % 32;
  uint32_t count = kUnwritten;
  compact_sets_definition({active.data(), words, row_count, members != nullptr ? members->values.data() : nullptr, share_count, ids.data(), &count});

  const DeviceArray<uint32_t> device_active(active), device_members(members != nullptr ? members->values : std::vector<uint32_t>(1));
  const DeviceArray<uint32_t> device_ids(share_count + 1, kUnwritten), device_count(1, kUnwritten);
  launch_compact_sets({device_active.get(), words, row_count, members != nullptr ? device_members.get() : nullptr, share_count, device_ids.get(),
                       device_count.get()}, nullptr);
  CHECK(device_count.read() == std::vector<uint32_t>(1, count));
  CHECK(device_ids.read() == ids);
}

void check_firing(const Numbers* list, uint32_t share_count, uint32_t row_count, uint32_t share, bool counts, Random& random) {
  const uint32_t stride = row_stride(share_count), list_count = list != nullptr ? list->count : 0;
  std::vector<float> activation(uint64_t{row_count} * stride, NAN);  // what is not listed would fire
  for (uint32_t row = 0; row < row_count; ++row)
    for (uint32_t k = 0; k < (list != nullptr ? list_count : share_count); ++k) {
      const float firing[] = {1.5f, -2.0f, NAN, 1e-40f};
      float& a = activation[row * stride + (list != nullptr ? list->values[k] : k)];
      a = random.below(100) < share ? firing[random.below(4)] : random.below(2) ? 0.0f : -0.0f;
    }
  std::vector<uint32_t> ids(share_count + 1, kUnwritten);
  uint32_t count = kUnwritten;
  const Tally before{1, 2, 3, 5};
  Tally tally = before;
  compact_firing_definition({{list != nullptr ? list->values.data() : nullptr, list != nullptr ? &list_count : nullptr, share_count},
                             activation.data(), stride, row_count, ids.data(), &count, &tally});

  const DeviceArray<uint32_t> device_list(list != nullptr ? list->values : std::vector<uint32_t>(1)), device_list_count(1, list_count);
  const DeviceArray<float> device_activation(activation);
  const DeviceArray<uint32_t> device_ids(share_count + 1, kUnwritten), device_count(1, kUnwritten);
  const DeviceArray<Tally> device_tally(1, before);
  launch_compact_firing({{list != nullptr ? device_list.get() : nullptr, list != nullptr ? device_list_count.get() : nullptr, share_count},
                         device_activation.get(), stride, row_count, device_ids.get(), device_count.get(), counts ? device_tally.get() : nullptr},
                        nullptr);
  CHECK(device_count.read() == std::vector<uint32_t>(1, count));
  CHECK(device_ids.read() == ids);
  const Tally counted = device_tally.read()[0];
  CHECK(std::memcmp(&counted, counts ? &tally : &before, sizeof counted) == 0);
}

}  // namespace

TEST("compact_sets lists the neurons of a share that some row names (seed 44)") {
  Random random(44);
  for (const uint32_t model_count : {1u, 31u, 32u, 33u, 64u, 65u, 1000u, 1024u, 1025u, 3000u})
    for (const uint32_t share : {0u, 10u, 100u}) {
      note(std::to_string(model_count) + " neurons, " + std::to_string(share) + " of 100 named");
      const uint32_t row_count = 1 + random.below(9);
      check_sets(model_count, nullptr, row_count, share, random);
      const Numbers members(some_numbers(model_count, 40, random));
      check_sets(model_count, &members, row_count, share, random);
    }
}

TEST("compact_sets lists as many as 2^20 neurons (seed 45)") {
  Random random(45);
  check_sets(1u << 20, nullptr, 1, 10, random);
}

TEST("compact_firing lists the listed neurons that fire in some row, and counts how often (seed 46)") {
  Random random(46);
  for (const uint32_t share_count : {1u, 31u, 32u, 33u, 64u, 65u, 1000u, 1025u})
    for (const uint32_t share : {0u, 10u, 100u}) {
      note(std::to_string(share_count) + " neurons, " + std::to_string(share) + " of 100 fire");
      const uint32_t row_count = 1 + random.below(9);
      check_firing(nullptr, share_count, row_count, share, true, random);
      for (const uint32_t listed : {0u, 30u, 100u}) {
        const Numbers list(some_numbers(share_count, listed, random));
        check_firing(&list, share_count, row_count, share, listed == 30, random);
      }
    }
}
