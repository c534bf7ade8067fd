// Goal: a sparse FFN adds exactly what the neurons it was given add, reads no more than it says, and shares add up to the whole.
// Method: partials against the oracle's sum over the same neurons; runs that must agree, bit for bit; counters against counting by hand.
#include <cmath>
#include <cstring>
#include <limits>

#include "../cpu/kernels.h"
#include "../cpu/repack.h"
#include "forward_oracle.h"
#include "tiny_model.h"

namespace powerinfer_test {
namespace {

constexpr uint32_t kRows = 5;

TinyOptions sparse_options(uint32_t type, bool gated) {
  TinyOptions o{};
  o.shape = small_shape();
  o.shape.hidden_width = 256;
  o.shape.ffn_width = 512;
  o.shape.gated = gated;
  o.shape.gate_activation = gated ? POWERINFER_ACTIVATION_RELU : POWERINFER_ACTIVATION_IDENTITY;
  o.shape.up_activation = gated ? POWERINFER_ACTIVATION_IDENTITY : POWERINFER_ACTIVATION_RELU;
  o.shape.head_width = 32;
  o.shape.head_count = 8;
  o.shape.kv_head_count = 8;
  o.matrix_type = type;
  o.biases = true;
  o.down_repacked = true;
  return o;
}

std::vector<float> random_hidden(Random& random, uint32_t width) {
  std::vector<float> hidden(uint64_t{kRows} * width);
  for (float& value : hidden) value = random.uniform(-1.7f, 1.7f);
  return hidden;
}

// A bit for every neuron that `wants(row, neuron)`.
template <class Wants>
std::vector<uint32_t> bits_where(const powerinfer_model_shape& s, Wants wants) {
  const uint32_t words = (s.ffn_width + 31) / 32;
  std::vector<uint32_t> bits(uint64_t{kRows} * words);
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t n = 0; n < s.ffn_width; ++n) bits[row * words + n / 32] |= (wants(row, n) ? 1u : 0u) << n % 32;
  }
  return bits;
}

std::vector<float> ffn(const OpenModel& open, const powerinfer_model_shape& s, const std::vector<float>& hidden, const uint32_t* active, uint32_t flags) {
  std::vector<float> partial(uint64_t{kRows} * s.hidden_width, std::numeric_limits<float>::quiet_NaN());
  CHECK_OK(powerinfer_ffn(open.model, 1, hidden.data(), kRows, active, flags, partial.data()));
  return partial;
}

std::vector<float> activations(const OpenModel& open, const powerinfer_model_shape& s, const std::vector<float>& hidden) {
  std::vector<float> out(uint64_t{kRows} * s.ffn_width);
  CHECK_OK(powerinfer_activations(open.model, 1, hidden.data(), kRows, out.data()));
  return out;
}

void check_near(const std::vector<float>& actual, const std::vector<double>& expected, double tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) CHECK_NEAR(actual[i], expected[i], tolerance);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; }

// What the oracle says the neurons of `wants` add, given the activations the engine computed.
template <class Wants>
Doubles expected_partial(const TinyModel& tiny, const std::vector<float>& activations, Wants wants) {
  const powerinfer_model_shape& s = tiny.options.shape;
  const Oracle oracle(tiny, POWERINFER_CACHE_F32);
  Doubles out;
  for (uint32_t row = 0; row < kRows; ++row) {
    Doubles chosen(s.ffn_width);
    for (uint32_t n = 0; n < s.ffn_width; ++n) chosen[n] = wants(row, n) ? activations[row * s.ffn_width + n] : 0;
    const Doubles part = oracle.down(1, chosen, false);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

const uint32_t kTypes[] = {powerinfer::F32, powerinfer::F16, powerinfer::Q8_0, powerinfer::Q4_0, powerinfer::Q4_K, powerinfer::Q5_0, powerinfer::Q6_K};
// Types whose weights multiply activation codes: a sparse sum has the bits of the dense one.
bool is_coded(uint32_t type) {
  uint32_t isa = POWERINFER_ISA_SCALAR;
  return powerinfer::kernels_for(isa)->form[type] != powerinfer::Form::kValues;
}

constexpr double kTolerance = 1e-4;  // f32 sums of some 250 products of about 0.05

TEST("powerinfer_activations: equal the oracle's (seed 11)") {
  for (uint32_t type : kTypes) {
    for (bool gated : {true, false}) {
      const TinyModel tiny(sparse_options(type, gated), 11);
      const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
      const powerinfer_model_shape& s = tiny.options.shape;
      Random random(11);
      const std::vector<float> hidden = random_hidden(random, s.hidden_width);
      const std::vector<float> actual = activations(open, s, hidden);
      for (uint32_t row = 0; row < kRows; ++row) {
        const Doubles x(hidden.begin() + row * s.hidden_width, hidden.begin() + (row + 1) * s.hidden_width);
        const Doubles expected = Oracle(tiny, POWERINFER_CACHE_F32).activations(1, x);
        for (uint32_t n = 0; n < s.ffn_width; ++n) CHECK_NEAR(actual[row * s.ffn_width + n], expected[n], 1e-3);
      }
    }
  }
}

TEST("powerinfer_ffn: the neurons named for a row are those added to it, with and without CONFIRM (seed 12)") {
  for (uint32_t type : kTypes) {
    for (bool gated : {true, false}) {
      const TinyModel tiny(sparse_options(type, gated), 12);
      const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
      const powerinfer_model_shape& s = tiny.options.shape;
      Random random(12);
      const std::vector<float> hidden = random_hidden(random, s.hidden_width);
      const std::vector<float> fired = activations(open, s, hidden);
      // Another set for every row, chunks that no row wants (64 to 191), and a row that wants nothing.
      const auto wants = [](uint32_t row, uint32_t n) { return row != 3 && (n < 64 || n >= 192) && (n * 7 + row * 5) % 11 < 4; };
      const std::vector<uint32_t> active = bits_where(s, wants);
      const Doubles expected = expected_partial(tiny, fired, wants);
      const std::vector<float> listed = ffn(open, s, hidden, active.data(), 0);
      check_near(listed, expected, kTolerance);
      CHECK(same_bits(ffn(open, s, hidden, active.data(), POWERINFER_FFN_CONFIRM), listed));
    }
  }
}

TEST("powerinfer_ffn: CONFIRM, a full set and the set that fires are one computation; dense is the same sum (seed 13)") {
  for (uint32_t type : kTypes) {
    for (bool gated : {true, false}) {
      const TinyModel tiny(sparse_options(type, gated), 13);
      const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
      const powerinfer_model_shape& s = tiny.options.shape;
      Random random(13);
      const std::vector<float> hidden = random_hidden(random, s.hidden_width);
      const std::vector<float> fired = activations(open, s, hidden);
      const std::vector<float> confirmed = ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM);
      const std::vector<uint32_t> full = bits_where(s, [](uint32_t, uint32_t) { return true; });
      const std::vector<uint32_t> firing = bits_where(s, [&](uint32_t row, uint32_t n) { return fired[row * s.ffn_width + n] != 0; });
      CHECK(same_bits(ffn(open, s, hidden, full.data(), 0), confirmed));
      CHECK(same_bits(ffn(open, s, hidden, full.data(), POWERINFER_FFN_CONFIRM), confirmed));
      CHECK(same_bits(ffn(open, s, hidden, firing.data(), 0), confirmed));
      check_near(confirmed, expected_partial(tiny, fired, [](uint32_t, uint32_t) { return true; }), kTolerance);
      const std::vector<float> dense = ffn(open, s, hidden, nullptr, 0);
      if (is_coded(type)) CHECK(same_bits(dense, confirmed));
      else check_near(dense, {confirmed.begin(), confirmed.end()}, kTolerance);
    }
  }
}

TEST("powerinfer_model_thresholds: CONFIRM drops what is at or below them, as if it were no candidate (seed 14)") {
  for (uint32_t type : kTypes) {
    for (bool gated : {true, false}) {
      const TinyModel tiny(sparse_options(type, gated), 14);
      const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
      const powerinfer_model_shape& s = tiny.options.shape;
      Random random(14);
      const std::vector<float> hidden = random_hidden(random, s.hidden_width);
      const std::vector<float> fired = activations(open, s, hidden);
      const std::vector<float> untouched = ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM);
      std::vector<float> limits(s.ffn_width);
      for (float& limit : limits) limit = random.uniform(0, 2);
      const std::vector<uint32_t> large = bits_where(s, [&](uint32_t row, uint32_t n) { return std::fabs(fired[row * s.ffn_width + n]) > limits[n]; });
      CHECK_OK(powerinfer_model_thresholds(open.model, 1, nullptr, limits.data()));
      CHECK(same_bits(ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM), ffn(open, s, hidden, large.data(), 0)));
      const std::vector<float> dense = ffn(open, s, hidden, nullptr, 0);
      CHECK_OK(powerinfer_model_thresholds(open.model, 1, nullptr, nullptr));
      CHECK(same_bits(ffn(open, s, hidden, nullptr, 0), dense));
      CHECK(same_bits(ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM), untouched));
      if (!gated) continue;
      // No gate is that large, so nothing is left.
      const std::vector<float> all(s.ffn_width, 1e30f);
      CHECK_OK(powerinfer_model_thresholds(open.model, 1, all.data(), nullptr));
      const std::vector<float> nothing(uint64_t{kRows} * s.hidden_width);
      CHECK(same_bits(ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM), nothing));
    }
  }
}

TEST("powerinfer_model_thresholds and powerinfer_residual: say what is wrong") {
  const TinyModel tiny(sparse_options(kTypes[0], true), 15);
  const OpenModel open(tiny, 1, POWERINFER_ISA_AUTO);
  float value = 0;
  CHECK_STATUS(powerinfer_model_thresholds(open.model, tiny.options.shape.block_count, &value, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_model_thresholds(0, 0, &value, nullptr), POWERINFER_INVALID_HANDLE);
  CHECK_STATUS(powerinfer_residual(open.model, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_residual(open.model, &value), POWERINFER_INVALID_ARGUMENT);  // nothing attended
}

TEST("powerinfer_ffn: for codes, sparse is dense bit for bit, on every instruction set, number of threads and batch (seed 19)") {
  for (uint32_t type : kTypes) {
    if (!is_coded(type)) continue;
    for (bool gated : {true, false}) {
      const TinyModel tiny(sparse_options(type, gated), 19);
      const powerinfer_model_shape& s = tiny.options.shape;
      Random random(19);
      const std::vector<float> hidden = random_hidden(random, s.hidden_width);
      for (uint32_t isa : isas_here()) {
        for (uint32_t threads : {1u, 3u}) {
          const OpenModel open(tiny, threads, isa);
          const std::vector<float> dense = ffn(open, s, hidden, nullptr, 0);
          CHECK(same_bits(ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM), dense));
          for (uint32_t row = 0; row < kRows; ++row) {
            std::vector<float> alone(s.hidden_width);
            CHECK_OK(powerinfer_ffn(open.model, 1, &hidden[row * s.hidden_width], 1, nullptr, POWERINFER_FFN_CONFIRM, alone.data()));
            CHECK(std::memcmp(alone.data(), &dense[row * s.hidden_width], s.hidden_width * sizeof(float)) == 0);
          }
        }
      }
    }
  }
}

TEST("powerinfer_ffn: an empty set adds zero (seed 14)") {
  const TinyModel tiny(sparse_options(powerinfer::Q4_0, true), 14);
  const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
  Random random(14);
  const std::vector<float> hidden = random_hidden(random, tiny.options.shape.hidden_width);
  const std::vector<uint32_t> none = bits_where(tiny.options.shape, [](uint32_t, uint32_t) { return false; });
  for (float value : ffn(open, tiny.options.shape, hidden, none.data(), 0)) CHECK_EQUAL(value, 0.0f);
}

TEST("powerinfer_ffn: a NaN in the input is not hidden by relu (seed 15)") {
  const TinyModel tiny(sparse_options(powerinfer::F16, true), 15);
  const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
  const powerinfer_model_shape& s = tiny.options.shape;
  Random random(15);
  std::vector<float> hidden = random_hidden(random, s.hidden_width);
  const std::vector<float> sound = ffn(open, s, hidden, nullptr, POWERINFER_FFN_CONFIRM);
  hidden[s.hidden_width] = std::numeric_limits<float>::quiet_NaN();  // row 1
  for (uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
    const std::vector<float> partial = ffn(open, s, hidden, nullptr, flags);
    for (uint32_t i = 0; i < s.hidden_width; ++i) CHECK(std::isnan(partial[s.hidden_width + i]));
    for (uint32_t i = 0; i < s.hidden_width; ++i) CHECK_NEAR(partial[i], sound[i], kTolerance);
  }
}

TEST("powerinfer_ffn: two models that divide the neurons give the dense logits together (seed 16)") {
  const TinyModel tiny(sparse_options(powerinfer::F16, true), 16);
  const powerinfer_model_shape& s = tiny.options.shape;
  const OpenModel home(tiny, 2, POWERINFER_ISA_AUTO), other(tiny, 1, POWERINFER_ISA_SCALAR);
  const std::vector<uint32_t> even = bits_where(s, [](uint32_t, uint32_t n) { return n % 2 == 0; });
  const std::vector<uint32_t> odd = bits_where(s, [](uint32_t, uint32_t n) { return n % 2 == 1; });
  const uint32_t whole_cache = home.open_cache(8, POWERINFER_CACHE_F32), cache = home.open_cache(8, POWERINFER_CACHE_F32);
  std::vector<powerinfer_row> rows;
  for (uint32_t i = 0; i < kRows; ++i) rows.push_back({i * 3, i, whole_cache});
  const std::vector<float> dense = home.run(rows);

  for (powerinfer_row& row : rows) row.cache = cache;
  std::vector<float> hidden(uint64_t{kRows} * s.hidden_width), partial(hidden.size()), logits(dense.size());
  CHECK_OK(powerinfer_embed(home.model, rows.data(), kRows));
  for (uint32_t block = 0; block < s.block_count; ++block) {
    CHECK_OK(powerinfer_attend(home.model, block, hidden.data()));
    CHECK_OK(powerinfer_ffn(other.model, block, hidden.data(), kRows, odd.data(), POWERINFER_FFN_CONFIRM, partial.data()));
    CHECK_OK(powerinfer_ffn(home.model, block, nullptr, kRows, even.data(), 0, nullptr));
    CHECK_OK(powerinfer_merge(home.model, block, nullptr));
    CHECK_OK(powerinfer_merge(home.model, block, partial.data()));
  }
  const uint32_t all[kRows] = {0, 1, 2, 3, 4};
  CHECK_OK(powerinfer_logits(home.model, all, kRows, logits.data()));
  check_near(logits, {dense.begin(), dense.end()}, kTolerance);
  CHECK_OK(powerinfer_cache_close(whole_cache));
  CHECK_OK(powerinfer_cache_close(cache));
}

TEST("powerinfer_counters: a dense decode reads every matrix once (seed 17)") {
  const TinyModel tiny(sparse_options(powerinfer::Q8_0, true), 17);
  const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
  const powerinfer_model_shape& s = tiny.options.shape;
  const uint32_t cache = open.open_cache(4, POWERINFER_CACHE_F16);
  open.run({{1, 0, cache}, {2, 1, cache}});
  const powerinfer_counters c = open.counters();
  const double ffn = tiny.role_bytes(POWERINFER_GATE) + tiny.role_bytes(POWERINFER_UP) + tiny.role_bytes(POWERINFER_DOWN);
  double attention = 0;
  for (uint32_t role : {POWERINFER_Q, POWERINFER_K, POWERINFER_V, POWERINFER_ATTENTION_OUTPUT}) attention += tiny.role_bytes(role);
  const double embeddings = 2 * static_cast<double>(powerinfer::row_bytes(powerinfer::Q8_0, s.hidden_width));
  CHECK_EQUAL(c.row_count, 2.0);
  CHECK_EQUAL(c.ffn_bytes, ffn);
  CHECK_EQUAL(c.weight_bytes, ffn + attention + embeddings + tiny.role_bytes(POWERINFER_OUTPUT));
  CHECK_EQUAL(c.cache_bytes, 2.0 * s.block_count * 2 * (s.kv_head_count * s.head_width) * (1 + 2));
  CHECK_EQUAL(c.neuron_count, 2.0 * s.block_count * s.ffn_width);
  CHECK_EQUAL(c.neuron_computed_count, c.neuron_count);
  CHECK_OK(powerinfer_cache_close(cache));
}

TEST("powerinfer_counters: CONFIRM reads the gate, and up and down of the neurons that fire; all of down where a quarter fires and that gives the same bits (seed 18)") {
  for (uint32_t type : {powerinfer::F16, powerinfer::Q4_0})
    for (uint32_t every : {1, 8}) {  // candidates: all neurons, and an eighth
      const TinyModel tiny(sparse_options(type, true), 18);
      const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
      const powerinfer_model_shape& s = tiny.options.shape;
      Random random(18);
      const std::vector<float> hidden = random_hidden(random, s.hidden_width);
      const std::vector<float> fired = activations(open, s, hidden);
      const std::vector<uint32_t> active = bits_where(s, [&](uint32_t, uint32_t n) { return n % every == 0; });
      std::vector<uint32_t> neurons;
      double fired_count = 0, candidate_count = 0;
      std::vector<double> candidates_of(s.ffn_width / 64 + 1), firing_of(candidates_of.size());  // of chunks of 64 neurons
      for (uint32_t n = 0; n < s.ffn_width; n += every) {
        uint32_t rows = 0;
        for (uint32_t row = 0; row < kRows; ++row) rows += fired[row * s.ffn_width + n] != 0;
        ++candidate_count;
        ++candidates_of[n / 64];
        fired_count += rows;
        if (rows == 0) continue;
        neurons.push_back(n);
        ++firing_of[n / 64];
      }
      CHECK(fired_count > 0 && neurons.size() < candidate_count);
      double up_count = 0;  // where three quarters of a chunk fire, all of it is read
      for (size_t chunk = 0; chunk < firing_of.size(); ++chunk)
        up_count += firing_of[chunk] >= 0.75 * candidates_of[chunk] ? candidates_of[chunk] : firing_of[chunk];
      const powerinfer_counters before = open.counters();
      ffn(open, s, hidden, active.data(), POWERINFER_FFN_CONFIRM);
      const powerinfer_counters after = open.counters();
      const double row_bytes = static_cast<double>(powerinfer::row_bytes(type, s.hidden_width));
      const bool whole_down = is_coded(type) && neurons.size() >= s.ffn_width / 4;
      CHECK_EQUAL(whole_down, type == powerinfer::Q4_0 && every == 1);
      const double down = static_cast<double>(
          whole_down ? powerinfer::row_bytes(type, s.ffn_width) * s.hidden_width
                     : powerinfer::repacked_read_bytes(type, s.hidden_width, neurons.data(), static_cast<uint32_t>(neurons.size())));
      CHECK_EQUAL(after.ffn_bytes - before.ffn_bytes, row_bytes * (candidate_count + up_count) + down);
      CHECK_EQUAL(after.weight_bytes - before.weight_bytes, after.ffn_bytes - before.ffn_bytes);
      CHECK_EQUAL(after.neuron_count - before.neuron_count, static_cast<double>(kRows) * s.ffn_width);
      CHECK_EQUAL(after.neuron_computed_count - before.neuron_computed_count, fired_count);
    }
}

}  // namespace
}  // namespace powerinfer_test
