// Goal: logits are the model's, whatever its architecture, tensor type, cache, instruction set, batch size or number of threads.
// Method: random models of every combination against the double-precision oracle; batches and threads against each other, bit for bit.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../cpu/kernels.h"
#include "forward_oracle.h"
#include "tiny_model.h"

namespace powerinfer_test {
namespace {

constexpr uint32_t kTokenCount = 19;

// How far logits are off, in standard deviations of the expected ones.
struct Distance {
  double largest;
  double typical;  // root mean square
};

Distance distance(const std::vector<float>& actual, const Doubles& expected) {
  const double count = static_cast<double>(expected.size());
  double mean = 0, spread = 0, largest = 0, square = 0;
  for (double value : expected) mean += value / count;
  for (double value : expected) spread += (value - mean) * (value - mean) / count;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double off = std::abs(actual[i] - expected[i]);
    if (!(off <= largest)) largest = off;  // NaN wins and stays
    square += off * off / count;
  }
  return {largest / std::sqrt(spread), std::sqrt(square / spread)};
}

Doubles oracle_logits(const TinyModel& tiny, const std::vector<uint32_t>& tokens, uint32_t cache_type, bool sparse) {
  Oracle oracle(tiny, cache_type);
  oracle.sparse = sparse;
  Doubles logits;
  for (uint32_t token : tokens) {
    const Doubles row = oracle.step(token);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

// Without rounding in between, f32 against double: 1e-4 of the spread is the figure models are accepted by, and we come to 3e-6. Where keys
// and values or activations are rounded, a sum on the edge may round the other way, by 2^-11 or 1/127 of one number, and what follows
// differs a little everywhere: the typical distance bounds that, with room for a few such sums. A wrong weight moves it to 1.
void check_close(const std::string& what, uint64_t seed, const std::vector<float>& actual, const Doubles& expected, const TinyOptions& options,
                 uint32_t cache_type) {
  uint32_t isa = POWERINFER_ISA_SCALAR;
  const bool coded = powerinfer::kernels_for(isa)->form[options.matrix_type] != powerinfer::Form::kValues;
  const Distance off = distance(actual, expected);
  const bool coarse = coded || cache_type == POWERINFER_CACHE_Q8_0;
  const bool close = coarse || cache_type == POWERINFER_CACHE_F16 ? off.typical <= (coarse ? 1e-2 : 2e-4) : off.largest <= 2e-5;
  if (close) return;
  const std::string where = what + ", seed " + std::to_string(seed);
  fail(__FILE__, __LINE__, where + ": the logits are off by " + shown(off.typical) + " standard deviations, at most " + shown(off.largest));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TinyOptions random_options(Random& random) {
  TinyOptions o{};
  o.shape = small_shape();
  powerinfer_model_shape& s = o.shape;
  const uint32_t heads[][3] = {{6, 6, 8}, {6, 2, 8}, {6, 1, 8}, {3, 1, 20}};  // head_count, kv_head_count, head_width
  const uint32_t* const chosen = heads[random.below(4)];
  s.head_count = chosen[0];
  s.kv_head_count = chosen[1];
  s.head_width = chosen[2];
  s.norm = random.below(2);
  s.rope = random.below(3);
  s.rope_width = s.rope == POWERINFER_ROPE_NONE ? 0 : random.below(2) ? s.head_width : s.head_width / 2;
  s.parallel = random.below(2);
  s.gated = random.below(2);
  s.gate_activation = s.gated ? random.below(5) : 0;
  s.up_activation = random.below(5);
  o.learned_positions = random.below(2) == 1;
  s.position_offset = o.learned_positions ? random.below(3) : 0;
  o.biases = random.below(2) == 1;
  o.head_norms = random.below(2) == 1;
  o.tied = random.below(2) == 1;
  const uint32_t types[] = {powerinfer::F32, powerinfer::F16, powerinfer::BF16};
  o.matrix_type = types[random.below(3)];
  const uint32_t down = random.below(3);
  o.down_by_rows = down != 1;
  o.down_by_neuron = down == 1 || (down == 2 && random.below(2) == 1);
  o.down_repacked = down == 2 && !o.down_by_neuron;
  return o;
}

// A shape whose widths are whole blocks of every type.
TinyOptions block_options(uint32_t type) {
  TinyOptions o{};
  o.shape = small_shape();
  o.shape.hidden_width = 256;
  o.shape.ffn_width = 512;
  o.shape.head_count = 8;
  o.shape.kv_head_count = 4;
  o.shape.head_width = 32;
  o.shape.rope_width = 32;
  o.matrix_type = type;
  return o;
}

void check_model(const TinyOptions& options, uint64_t seed) {
  const TinyModel tiny(options, seed);
  Random random(seed);
  const std::vector<uint32_t> tokens = random_tokens(random, kTokenCount, options.shape.vocabulary_size);
  const bool has_sparse = options.down_by_neuron || options.down_repacked;
  for (const uint32_t cache_type : {POWERINFER_CACHE_F16, POWERINFER_CACHE_F32}) {
    const Doubles dense = oracle_logits(tiny, tokens, cache_type, false);
    const Doubles sparse = oracle_logits(tiny, tokens, cache_type, true);
    for (uint32_t isa : isas_here()) {
      const OpenModel open(tiny, 1 + random.below(3), isa);
      const std::string what = "type " + std::to_string(options.matrix_type) + ", cache " + std::to_string(cache_type) + ", isa " + std::to_string(isa);
      const uint32_t batch_rows = 1 + random.below(kTokenCount);
      check_close(what + ", dense", seed, open.prefill(tokens, batch_rows, cache_type), dense, options, cache_type);
      if (!has_sparse) continue;
      check_close(what + ", confirmed", seed, open.prefill(tokens, batch_rows, cache_type, POWERINFER_FFN_CONFIRM), sparse, options, cache_type);
    }
  }
}

TEST("forward: logits equal the oracle's for random architectures at every instruction set (seeds 1 to 80)") {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    Random random(seed);
    check_model(random_options(random), seed);
  }
}

TEST("forward: logits equal the oracle's for every tensor type, down by rows and repacked (seed 2)") {
  using namespace powerinfer;
  for (uint32_t type : {F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K, Q6_K}) {
    TinyOptions options = block_options(type);
    options.down_repacked = true;
    check_model(options, 2);
  }
}

TEST("forward: logits equal the oracle's where only repacked down is bound, or only down by neuron (seed 3)") {
  for (uint32_t type : {powerinfer::F16, powerinfer::Q8_0, powerinfer::Q4_0, powerinfer::Q4_K}) {
    TinyOptions options = block_options(type);
    options.down_by_rows = false;
    options.down_repacked = true;
    check_model(options, 3);
    options.down_repacked = false;
    options.down_by_neuron = true;
    check_model(options, 3);
  }
}

TEST("forward: prefill in batches of 1, 7 and 64 gives the same bits (seed 4)") {
  for (uint32_t type : {powerinfer::F32, powerinfer::F16, powerinfer::Q8_0, powerinfer::Q4_K}) {
    TinyOptions options = block_options(type);
    options.down_repacked = true;
    const TinyModel tiny(options, 4);
    Random random(4);
    const std::vector<uint32_t> tokens = random_tokens(random, 64, options.shape.vocabulary_size);
    for (uint32_t isa : isas_here()) {
      const OpenModel open(tiny, 2, isa);
      for (uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
        const std::vector<float> one = open.prefill(tokens, 1, POWERINFER_CACHE_F16, flags);
        CHECK(same_bits(open.prefill(tokens, 7, POWERINFER_CACHE_F16, flags), one));
        CHECK(same_bits(open.prefill(tokens, 64, POWERINFER_CACHE_F16, flags), one));
      }
    }
  }
}

TEST("forward: 1, 2, 3 and 8 threads give the same bits (seed 5)") {
  for (uint32_t type : {powerinfer::F16, powerinfer::Q4_0}) {
    TinyOptions options = block_options(type);
    options.shape.hidden_width = 768;  // several column slices of down
    options.shape.ffn_width = 1056;
    options.down_repacked = true;
    const TinyModel tiny(options, 5);
    Random random(5);
    const std::vector<uint32_t> tokens = random_tokens(random, 9, options.shape.vocabulary_size);
    for (uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
      for (uint32_t batch_rows : {1, 9}) {
        const std::vector<float> alone = OpenModel(tiny, 1, POWERINFER_ISA_AUTO).prefill(tokens, batch_rows, POWERINFER_CACHE_F16, flags);
        for (uint32_t threads : {2, 3, 8}) {
          CHECK(same_bits(OpenModel(tiny, threads, POWERINFER_ISA_AUTO).prefill(tokens, batch_rows, POWERINFER_CACHE_F16, flags), alone));
        }
      }
    }
  }
}

TEST("forward: contexts of several spans equal the oracle's, with the same bits in any batch on any number of threads (seed 9)") {
  Random random(9);
  for (const uint32_t kv_heads : {4u, 1u}) {
    TinyOptions options = block_options(powerinfer::F32);
    options.shape.block_count = 1;  // several would tell nothing more, and the oracle takes its time
    options.shape.hidden_width = options.shape.ffn_width = 64;
    options.shape.head_count = 4;
    options.shape.kv_head_count = kv_heads;
    const TinyModel tiny(options, 9);
    const std::vector<uint32_t> tokens = random_tokens(random, 2 * powerinfer::kSpanPositions + 5, options.shape.vocabulary_size);
    for (const uint32_t cache_type : {POWERINFER_CACHE_F16, POWERINFER_CACHE_F32, POWERINFER_CACHE_Q8_0}) {
      const Doubles expected = oracle_logits(tiny, tokens, cache_type, false);
      for (const uint32_t isa : isas_here()) {
        const std::vector<float> alone = OpenModel(tiny, 1, isa).prefill(tokens, 1, cache_type);
        check_close("kv heads " + std::to_string(kv_heads) + ", isa " + std::to_string(isa), 9, alone, expected, options, cache_type);
        for (const auto& [threads, batch_rows] : {std::pair(2u, 1u), std::pair(8u, 1u), std::pair(8u, 3u), std::pair(3u, 64u)}) {
          CHECK(same_bits(OpenModel(tiny, threads, isa).prefill(tokens, batch_rows, cache_type), alone));
        }
      }
    }
  }
}

TEST("forward: rows of two caches in one batch do not see each other (seed 6)") {
  const TinyModel tiny(block_options(powerinfer::Q8_0), 6);
  const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
  Random random(6);
  const std::vector<uint32_t> a = random_tokens(random, 8, 61), b = random_tokens(random, 8, 61);
  const std::vector<float> alone_a = open.prefill(a, 8, POWERINFER_CACHE_F32), alone_b = open.prefill(b, 8, POWERINFER_CACHE_F16);

  const uint32_t cache_a = open.open_cache(8, POWERINFER_CACHE_F32), cache_b = open.open_cache(9, POWERINFER_CACHE_F16);
  std::vector<powerinfer_row> rows;
  for (uint32_t i = 0; i < 8; ++i) {  // positions in no order
    rows.insert(rows.begin() + (i % 2 ? 0 : rows.size()), {{a[i], i, cache_a}, {b[i], i, cache_b}});
  }
  const std::vector<float> together = open.run(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float>& alone = rows[i].cache == cache_a ? alone_a : alone_b;
    CHECK(std::memcmp(&together[i * 61], &alone[rows[i].position * 61], 61 * sizeof(float)) == 0);
  }
  CHECK_OK(powerinfer_cache_close(cache_a));
  CHECK_OK(powerinfer_cache_close(cache_b));
}

TEST("forward: a position written again forgets what was there (seed 7)") {
  const TinyModel tiny(block_options(powerinfer::F16), 7);
  const OpenModel open(tiny, 2, POWERINFER_ISA_AUTO);
  const std::vector<float> expected = open.prefill({5, 6, 9}, 1, POWERINFER_CACHE_F32);
  const uint32_t cache = open.open_cache(16, POWERINFER_CACHE_F32);
  open.run({{5, 0, cache}, {6, 1, cache}, {7, 2, cache}, {8, 3, cache}});
  const std::vector<float> again = open.run({{9, 2, cache}});
  CHECK(std::memcmp(again.data(), &expected[2 * 61], 61 * sizeof(float)) == 0);
  CHECK_OK(powerinfer_cache_close(cache));
}

TEST("logits: named rows come in the order they were named (seed 8)") {
  const TinyModel tiny(block_options(powerinfer::F32), 8);
  const OpenModel open(tiny, 1, POWERINFER_ISA_AUTO);
  const uint32_t cache = open.open_cache(4, POWERINFER_CACHE_F32);
  const std::vector<float> all = open.run({{1, 0, cache}, {2, 1, cache}, {3, 2, cache}});
  const uint32_t rows[] = {2, 0, 2};
  std::vector<float> named(3 * 61);
  CHECK_OK(powerinfer_logits(open.model, rows, 3, named.data()));
  for (uint32_t i = 0; i < 3; ++i) CHECK(std::memcmp(&named[i * 61], &all[rows[i] * 61], 61 * sizeof(float)) == 0);
  CHECK_OK(powerinfer_cache_close(cache));
}

}  // namespace
}  // namespace powerinfer_test
