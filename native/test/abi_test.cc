// Goal: whatever a caller passes, a call answers with the right status, leaves its out-pointers alone on failure, and never crashes.
// Method: every function with null, zero, stale and huge arguments, in the build with sanitizers too.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "../cpu/kernels.h"
#include "tiny_model.h"

extern "C" uint32_t powerinfer_abi_function_count(void);  // abi_is_c.c

namespace powerinfer_test {
namespace {

constexpr uint32_t kHuge = ~0u;
constexpr uint32_t kUntouched = 0xabcdef01;
const double kNaN = std::numeric_limits<double>::quiet_NaN();


bool last_error_has(const std::string& part) { return last_error().find(part) != std::string::npos; }

powerinfer_status open_file(const std::string& path, uint32_t* file) {
  return powerinfer_file_open(path.data(), static_cast<uint32_t>(path.size()), file);
}

TinyOptions tiny_options() {
  TinyOptions o{};
  o.shape = small_shape();
  o.matrix_type = powerinfer::F16;
  return o;
}

TEST("powerinfer.h: a C11 compiler takes it, and every function is there") { CHECK_EQUAL(powerinfer_abi_function_count(), 79u); }

TEST("powerinfer_last_error: says action and state, and cuts between characters") {
  uint32_t file = kUntouched;
  const std::string path = "/nowhere/ü";
  CHECK_STATUS(open_file(path, &file), POWERINFER_FILE_ERROR);
  CHECK_EQUAL(file, kUntouched);
  CHECK_EQUAL(last_error(), std::string("Cannot open the file: /nowhere/ü: No such file or directory"));
  char text[64];
  const uint32_t before = static_cast<uint32_t>(std::strlen("Cannot open the file: /nowhere/"));
  CHECK_EQUAL(powerinfer_last_error(text, before + 1), before);  // half an ü
  CHECK_EQUAL(powerinfer_last_error(text, before + 2), before + 2);
  CHECK_EQUAL(powerinfer_last_error(text, 0), 0u);

  std::string long_path = "/nowhere/x";  // 1210 bytes: cut inside an é if nobody looks
  for (int i = 0; i < 600; ++i) long_path += "é";
  CHECK_EQUAL(powerinfer_file_open(long_path.data(), static_cast<uint32_t>(long_path.size()), &file), POWERINFER_FILE_ERROR);
  const std::string cut = last_error();
  const size_t text_begin = cut.find('x') + 1;
  CHECK_EQUAL((cut.size() - text_begin) % 2, size_t{0});
  CHECK_EQUAL(powerinfer_last_error(nullptr, 64), 0u);
  std::thread([] { CHECK_EQUAL(last_error(), std::string()); }).join();  // every thread has its own
}

TEST("powerinfer_machine_read: fills the struct of this version only") {
  powerinfer_machine machine{};
  CHECK_STATUS(powerinfer_machine_read(nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_machine_read(&machine), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(machine.core_count, 0u);
  machine.struct_size = sizeof machine;
  CHECK_OK(powerinfer_machine_read(&machine));
  CHECK(machine.core_count >= 1);
  CHECK_EQUAL(machine.isa_mask >> POWERINFER_ISA_SCALAR & 1, 1u);
  CHECK(machine.memory_available_bytes > 0 && machine.memory_available_bytes <= machine.memory_bytes);
}

TEST("powerinfer_file_open: refuses what is not a regular file with bytes in it") {
  uint32_t file = kUntouched;
  CHECK_STATUS(powerinfer_file_open(nullptr, 3, &file), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_file_open("x", 0, &file), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_file_open("x", kHuge, &file), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_file_open("a\0b", 3, &file), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_file_open("x", 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(open_file("/tmp", &file), POWERINFER_FILE_ERROR);
  CHECK(last_error_has("is a directory"));
  CHECK_STATUS(open_file("/dev/null", &file), POWERINFER_FILE_ERROR);
  const std::string empty = "/tmp/powerinfer_test_empty_" + std::to_string(::getpid());
  std::fclose(std::fopen(empty.c_str(), "wb"));
  CHECK_STATUS(open_file(empty, &file), POWERINFER_FILE_ERROR);
  CHECK(last_error_has("is empty"));
  std::remove(empty.c_str());
  CHECK_EQUAL(file, kUntouched);
}

TEST("handles: closed, foreign and invented ones are INVALID_HANDLE everywhere") {
  const TinyModel tiny(tiny_options(), 21);
  uint32_t file = 0, cpu = 0, model = 0, out = kUntouched;
  double bytes = -1;
  float logits = 0;
  const powerinfer_row row{0, 0, 0};
  powerinfer_counters counters{};
  counters.struct_size = sizeof counters;
  CHECK_OK(open_file(tiny.path, &file));
  CHECK_OK(powerinfer_cpu_open(1, 0, &cpu));
  CHECK_OK(powerinfer_model_open(cpu, &tiny.options.shape, &model));
  CHECK_OK(powerinfer_file_size(file, &bytes));
  CHECK(bytes > 0);

  const std::function<powerinfer_status(uint32_t)> on_file[] = {
      [&](uint32_t h) { return powerinfer_file_size(h, &bytes); },
      [&](uint32_t h) { return powerinfer_model_bind(model, POWERINFER_OUTPUT_NORM, 0, h, 0, 0, 48, 1); },
      [&](uint32_t h) { return powerinfer_repack_down(cpu, h, 0, 0, 32, 32, "x", 1, 0); },
      [&](uint32_t h) { return powerinfer_cpu_measure_file_bandwidth(cpu, h, 1, &bytes); },
      [&](uint32_t h) { return powerinfer_file_close(h); },
  };
  const std::function<powerinfer_status(uint32_t)> on_cpu[] = {
      [&](uint32_t h) { return powerinfer_cpu_describe(h, &out, &out); },
      [&](uint32_t h) { return powerinfer_cpu_measure_bandwidth(h, 1 << 20, 1, &bytes); },
      [&](uint32_t h) { return powerinfer_cpu_measure_file_bandwidth(h, file, 1, &bytes); },
      [&](uint32_t h) { return powerinfer_model_open(h, &tiny.options.shape, &out); },
      [&](uint32_t h) { return powerinfer_repack_down(h, file, 0, 0, 32, 32, "x", 1, 0); },
      [&](uint32_t h) { return powerinfer_cpu_close(h); },
  };
  const std::function<powerinfer_status(uint32_t)> on_model[] = {
      [&](uint32_t h) { return powerinfer_model_bind(h, POWERINFER_OUTPUT_NORM, 0, file, 0, 0, 48, 1); },
      [&](uint32_t h) { return powerinfer_model_make_resident(h, POWERINFER_OUTPUT, 0, 0); },
      [&](uint32_t h) { return powerinfer_model_rope(h, &logits, 1); },
      [&](uint32_t h) { return powerinfer_model_ready(h); },
      [&](uint32_t h) { return powerinfer_cache_open(h, 1, 0, &out); },
      [&](uint32_t h) { return powerinfer_embed(h, &row, 1); },
      [&](uint32_t h) { return powerinfer_attend(h, 0, nullptr); },
      [&](uint32_t h) { return powerinfer_ffn(h, 0, nullptr, 1, nullptr, 0, nullptr); },
      [&](uint32_t h) { return powerinfer_merge(h, 0, nullptr); },
      [&](uint32_t h) { return powerinfer_activations(h, 0, &logits, 1, &logits); },
      [&](uint32_t h) { return powerinfer_logits(h, &out, 1, &logits); },
      [&](uint32_t h) { return powerinfer_counters_read(h, &counters); },
      [&](uint32_t h) { return powerinfer_model_close(h); },
  };
  const std::function<powerinfer_status(uint32_t)> on_cache[] = {
      [&](uint32_t h) { return powerinfer_cache_size(h, &bytes); },
      [&](uint32_t h) { return powerinfer_cache_close(h); },
  };
  for (uint32_t handle : {0u, 1u << 16, kHuge, cpu, model, file + 1, file + (1u << 16)}) {
    for (const auto& call : on_file) CHECK_STATUS(call(handle), POWERINFER_INVALID_HANDLE);
  }
  for (uint32_t handle : {0u, kHuge, file, model, cpu + 1}) {
    for (const auto& call : on_cpu) CHECK_STATUS(call(handle), POWERINFER_INVALID_HANDLE);
  }
  for (uint32_t handle : {0u, kHuge, file, cpu, model + 1}) {
    for (const auto& call : on_model) CHECK_STATUS(call(handle), POWERINFER_INVALID_HANDLE);
  }
  for (uint32_t handle : {0u, kHuge, file, cpu, model}) {
    for (const auto& call : on_cache) CHECK_STATUS(call(handle), POWERINFER_INVALID_HANDLE);
  }
  CHECK_EQUAL(out, kUntouched);

  CHECK_STATUS(powerinfer_cpu_close(cpu), POWERINFER_INVALID_ARGUMENT);
  CHECK(last_error_has("1 models are open"));
  CHECK_OK(powerinfer_model_close(model));
  CHECK_STATUS(powerinfer_model_close(model), POWERINFER_INVALID_HANDLE);
  CHECK_OK(powerinfer_cpu_close(cpu));
  CHECK_STATUS(powerinfer_cpu_close(cpu), POWERINFER_INVALID_HANDLE);
  CHECK_OK(powerinfer_file_close(file));
  CHECK_STATUS(powerinfer_file_close(file), POWERINFER_INVALID_HANDLE);
  uint32_t again = 0;
  CHECK_OK(open_file(tiny.path, &again));
  CHECK(again != file);  // the same slot, another generation
  CHECK_STATUS(powerinfer_file_size(file, &bytes), POWERINFER_INVALID_HANDLE);
  CHECK_OK(powerinfer_file_close(again));
}

TEST("powerinfer_dequantize: refuses unknown types and counts that are not the bytes given") {
  const uint8_t blocks[34] = {};
  float weights[32] = {};
  CHECK_OK(powerinfer_dequantize(powerinfer::Q8_0, blocks, 34, weights, 32));
  CHECK_OK(powerinfer_dequantize(powerinfer::Q8_0, blocks, 0, weights, 0));
  CHECK_STATUS(powerinfer_dequantize(powerinfer::Q8_0, nullptr, 34, weights, 32), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_dequantize(powerinfer::Q8_0, blocks, 34, nullptr, 32), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_dequantize(powerinfer::Q8_0, blocks, 34, weights, 31), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_dequantize(powerinfer::Q8_0, blocks, 33, weights, 32), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_dequantize(powerinfer::Q8_0, blocks, 34, weights, kHuge - 31), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_dequantize(4, blocks, 34, weights, 32), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(powerinfer_dequantize(kHuge, blocks, 34, weights, 32), POWERINFER_UNSUPPORTED);
}

TEST("powerinfer_cpu: opens only what this machine has, and describes it") {
  uint32_t cpu = kUntouched, threads = 0, isa = 0;
  double bandwidth = 0;
  CHECK_STATUS(powerinfer_cpu_open(1, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cpu_open(kHuge, 0, &cpu), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cpu_open(1, 99, &cpu), POWERINFER_INVALID_ARGUMENT);
  for (uint32_t lacking = 1; lacking <= POWERINFER_ISA_AVX512_VNNI; ++lacking) {
    if ((powerinfer::supported_isas() >> lacking & 1) == 0) CHECK_STATUS(powerinfer_cpu_open(1, lacking, &cpu), POWERINFER_UNSUPPORTED);
  }
  CHECK_EQUAL(cpu, kUntouched);
  CHECK_OK(powerinfer_cpu_open(0, POWERINFER_ISA_AUTO, &cpu));
  CHECK_STATUS(powerinfer_cpu_describe(cpu, nullptr, &isa), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cpu_describe(cpu, &threads, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_cpu_describe(cpu, &threads, &isa));
  powerinfer_machine machine{};
  machine.struct_size = sizeof machine;
  CHECK_OK(powerinfer_machine_read(&machine));
  CHECK_EQUAL(threads, machine.core_count);
  const std::vector<uint32_t> isas = isas_here();
  CHECK_EQUAL(isa, isas.back());
  for (double size : {0.0, -1.0, kNaN, 1e300, 1048576.5, 1000.0}) {
    CHECK_STATUS(powerinfer_cpu_measure_bandwidth(cpu, size, 1, &bandwidth), POWERINFER_INVALID_ARGUMENT);
  }
  CHECK_STATUS(powerinfer_cpu_measure_bandwidth(cpu, 1e15, 1, &bandwidth), POWERINFER_OUT_OF_MEMORY);
  CHECK_STATUS(powerinfer_cpu_measure_bandwidth(cpu, 1 << 20, 0, &bandwidth), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cpu_measure_bandwidth(cpu, 1 << 20, 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_cpu_measure_bandwidth(cpu, (1 << 24) + 8, 2, &bandwidth));
  CHECK(bandwidth > 1e6 && bandwidth < 1e13);
  CHECK_OK(powerinfer_cpu_close(cpu));
}

TEST("powerinfer_cpu_measure_file_bandwidth: reads all of a file, and refuses one that caches hold") {
  const std::string path = "/tmp/powerinfer_test_mapped_" + std::to_string(::getpid());
  const auto open_sized = [&](size_t size_bytes) {
    const std::string bytes(size_bytes, 'x');
    std::FILE* const written = std::fopen(path.c_str(), "wb");
    CHECK_EQUAL(std::fwrite(bytes.data(), 1, bytes.size(), written), bytes.size());
    std::fclose(written);
    uint32_t file = 0;
    CHECK_OK(open_file(path, &file));
    return file;
  };
  uint32_t cpu = 0;
  CHECK_OK(powerinfer_cpu_open(2, POWERINFER_ISA_AUTO, &cpu));
  // No whole number of chunks, nor of words.
  const uint32_t file = open_sized((3 << 20) + 13);
  double bandwidth = -1;
  CHECK_STATUS(powerinfer_cpu_measure_file_bandwidth(cpu, file, 0, &bandwidth), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cpu_measure_file_bandwidth(cpu, file, 1001, &bandwidth), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cpu_measure_file_bandwidth(cpu, file, 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(bandwidth, -1.0);
  CHECK_OK(powerinfer_cpu_measure_file_bandwidth(cpu, file, 3, &bandwidth));
  CHECK(bandwidth > 1e6 && bandwidth < 1e13);
  CHECK_OK(powerinfer_file_close(file));
  const uint32_t small = open_sized((1 << 20) - 1);
  CHECK_STATUS(powerinfer_cpu_measure_file_bandwidth(cpu, small, 1, &bandwidth), POWERINFER_INVALID_ARGUMENT);
  CHECK(last_error_has("must be at least 2^20"));
  CHECK_OK(powerinfer_file_close(small));
  CHECK_OK(powerinfer_cpu_close(cpu));
  std::remove(path.c_str());
}

TEST("powerinfer_model_open: refuses every shape that makes no sense") {
  uint32_t cpu = 0, model = kUntouched;
  CHECK_OK(powerinfer_cpu_open(1, 0, &cpu));
  using Shape = powerinfer_model_shape;
  const std::function<void(Shape&)> breaks[] = {
      [](Shape& s) { s.struct_size = 0; },      [](Shape& s) { s.struct_size += 4; },         [](Shape& s) { s.block_count = 0; },
      [](Shape& s) { s.block_count = kHuge; },  [](Shape& s) { s.hidden_width = 0; },         [](Shape& s) { s.hidden_width = kHuge; },
      [](Shape& s) { s.ffn_width = 0; },        [](Shape& s) { s.ffn_width = kHuge; },        [](Shape& s) { s.head_count = 0; },
      [](Shape& s) { s.head_count = kHuge; },   [](Shape& s) { s.kv_head_count = 0; },        [](Shape& s) { s.kv_head_count = 4; },
      [](Shape& s) { s.kv_head_count = 12; },   [](Shape& s) { s.head_width = 0; },           [](Shape& s) { s.head_width = kHuge; },
      [](Shape& s) { s.vocabulary_size = 0; },  [](Shape& s) { s.vocabulary_size = kHuge; },  [](Shape& s) { s.norm = 2; },
      [](Shape& s) { s.norm_epsilon = -1; },    [](Shape& s) { s.norm_epsilon = NAN; },       [](Shape& s) { s.rope = 3; },
      [](Shape& s) { s.rope_width = 0; },       [](Shape& s) { s.rope_width = 7; },           [](Shape& s) { s.rope_width = 10; },
      [](Shape& s) { s.rope = 0; },             [](Shape& s) { s.parallel = 2; },             [](Shape& s) { s.gated = 2; },
      [](Shape& s) { s.gate_activation = 5; },  [](Shape& s) { s.up_activation = 5; },        [](Shape& s) { s.gated = 0; },
      [](Shape& s) { s.row_count_max = 0; },    [](Shape& s) { s.row_count_max = kHuge; },    [](Shape& s) { s.position_offset = kHuge; },
  };
  for (const auto& broken : breaks) {
    Shape shape = small_shape();
    broken(shape);
    CHECK_STATUS(powerinfer_model_open(cpu, &shape, &model), POWERINFER_INVALID_ARGUMENT);
  }
  const Shape shape = small_shape();
  CHECK_STATUS(powerinfer_model_open(cpu, nullptr, &model), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_model_open(cpu, &shape, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(model, kUntouched);
  CHECK_OK(powerinfer_cpu_close(cpu));  // no failed model is left on it
}

TEST("powerinfer_model_bind: refuses tensors that do not fit the model or the file (seed 22)") {
  const TinyModel tiny(tiny_options(), 22);
  uint32_t cpu = 0, model = 0, file = 0;
  double size = 0;
  CHECK_OK(powerinfer_cpu_open(1, 0, &cpu));
  CHECK_OK(powerinfer_model_open(cpu, &tiny.options.shape, &model));
  CHECK_OK(open_file(tiny.path, &file));
  CHECK_OK(powerinfer_file_size(file, &size));
  const auto bind = [&](uint32_t role, uint32_t block, double offset, uint32_t type, uint32_t width, uint32_t rows) {
    return powerinfer_model_bind(model, role, block, file, offset, type, width, rows);
  };
  constexpr uint32_t kUpBytes = 48 * 152 * 2;
  CHECK_OK(bind(POWERINFER_UP, 1, size - kUpBytes, powerinfer::F16, 48, 152));
  CHECK_STATUS(bind(POWERINFER_UP, 1, size - kUpBytes + 1, powerinfer::F16, 48, 152), POWERINFER_INVALID_ARGUMENT);
  const auto digits = [](double value) { return std::to_string(static_cast<int64_t>(value)); };
  CHECK_EQUAL(last_error(), "Cannot bind blk.1 up: the tensor needs 14592 bytes at offset " + digits(size - kUpBytes + 1) + ", the file has " + digits(size));
  for (double offset : {-1.0, 0.5, kNaN, 1e300, 9007199254740992.0, size + 1}) {
    CHECK_STATUS(bind(POWERINFER_UP, 0, offset, powerinfer::F16, 48, 152), POWERINFER_INVALID_ARGUMENT);
  }
  CHECK_STATUS(bind(POWERINFER_UP, 2, 0, powerinfer::F16, 48, 152), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, kHuge, 0, powerinfer::F16, 48, 152), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, powerinfer::F16, 152, 48), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, powerinfer::F16, kHuge, kHuge), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, powerinfer::F16, 0, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, powerinfer::Q8_0, 48, 152), POWERINFER_INVALID_ARGUMENT);  // 48 is not whole blocks
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, 4, 48, 152), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, kHuge, 48, 152), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(bind(POWERINFER_DOWN_BY_NEURON, 0, 0, kHuge, 48, 152), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(bind(POWERINFER_DOWN_REPACKED, 0, 0, 5, 152, 48), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(bind(POWERINFER_DOWN_REPACKED, 0, 0, powerinfer::Q8_0, 152, 48), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_POSITION_EMBEDDING, 0, 0, powerinfer::F16, 48, kHuge), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_OUTPUT_NORM, 0, 0, powerinfer::F32, 48, 2), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_OUTPUT_NORM_BIAS, 0, 0, powerinfer::F32, 48, 1), POWERINFER_INVALID_ARGUMENT);
  CHECK(last_error_has("an RMS norm has no bias"));
  for (uint32_t role : {6u, 7u, 15u, 37u, kHuge}) CHECK_STATUS(bind(role, 0, 0, powerinfer::F32, 48, 1), POWERINFER_INVALID_ARGUMENT);

  const float frequencies[4] = {1, 0.1f, std::numeric_limits<float>::infinity(), 0};
  CHECK_STATUS(powerinfer_model_rope(model, nullptr, 4), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_model_rope(model, frequencies, 2), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_model_rope(model, frequencies, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_model_rope(model, frequencies, 4), POWERINFER_INVALID_ARGUMENT);  // not finite

  const powerinfer_row row{0, 0, 0};
  CHECK_STATUS(powerinfer_embed(model, &row, 1), POWERINFER_INCOMPLETE);
  CHECK_STATUS(powerinfer_model_ready(model), POWERINFER_INCOMPLETE);
  CHECK_EQUAL(last_error(), std::string("Cannot make the model ready: token_embedding and 20 more tensors are not bound"));
  CHECK_OK(powerinfer_file_close(file));
  CHECK_OK(powerinfer_model_close(model));
  CHECK_OK(powerinfer_cpu_close(cpu));
}

TEST("powerinfer_repack_down: refuses what it cannot read or write (seed 23)") {
  const TinyModel tiny(tiny_options(), 23);
  uint32_t cpu = 0, file = 0;
  double bytes = -1;
  CHECK_OK(powerinfer_cpu_open(1, 0, &cpu));
  CHECK_OK(open_file(tiny.path, &file));
  CHECK_STATUS(powerinfer_repack_down_size(powerinfer::Q8_0, 32, 33, &bytes), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_repack_down_size(powerinfer::Q8_0, 0, 32, &bytes), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_repack_down_size(powerinfer::Q8_0, 32, 0, &bytes), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_repack_down_size(powerinfer::Q8_0, kHuge, 32, &bytes), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_repack_down_size(kHuge, 32, 32, &bytes), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(powerinfer_repack_down_size(powerinfer::Q8_0, 32, 32, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(bytes, -1.0);
  const auto repack = [&](double from, uint32_t type, uint32_t hidden, uint32_t ffn, const std::string& to, double to_offset) {
    return powerinfer_repack_down(cpu, file, from, type, hidden, ffn, to.data(), static_cast<uint32_t>(to.size()), to_offset);
  };
  CHECK_OK(repack(1, powerinfer::F16, 48, 152, tiny.repacked_path, 100));
  CHECK_STATUS(repack(-1, powerinfer::F16, 48, 152, tiny.repacked_path, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(repack(1e15, powerinfer::F16, 48, 152, tiny.repacked_path, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(repack(0, powerinfer::F16, 1 << 20, 1 << 20, tiny.repacked_path, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(repack(0, powerinfer::F16, 48, 152, tiny.repacked_path, kNaN), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(repack(0, powerinfer::F16, 48, 152, "/nowhere/at/all", 0), POWERINFER_FILE_ERROR);
  CHECK_STATUS(repack(0, powerinfer::F16, 48, 152, "/tmp", 0), POWERINFER_FILE_ERROR);
  CHECK_STATUS(repack(0, powerinfer::F16, 48, 152, "", 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_repack_down(cpu, file, 0, powerinfer::F16, 48, 152, nullptr, 4, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_file_close(file));
  CHECK_OK(powerinfer_cpu_close(cpu));
}

TEST("powerinfer_cache_open: refuses sizes the machine does not have, and counts its bytes exactly (seed 24)") {
  const TinyModel tiny(tiny_options(), 24);
  const OpenModel open(tiny, 1, 0);
  uint32_t cache = kUntouched;
  double bytes = 0;
  CHECK_STATUS(powerinfer_cache_open(open.model, 0, 0, &cache), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cache_open(open.model, kHuge, 0, &cache), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cache_open(open.model, 8, 3, &cache), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_cache_open(open.model, 8, POWERINFER_CACHE_Q8_0, &cache), POWERINFER_INVALID_ARGUMENT);
  CHECK(last_error_has("heads of 8 are not whole Q8_0 blocks of 32"));
  CHECK_STATUS(powerinfer_cache_open(open.model, 8, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  powerinfer_model_shape large = small_shape();
  large.block_count = 4096;
  uint32_t model = 0;
  CHECK_OK(powerinfer_model_open(open.cpu, &large, &model));
  CHECK_STATUS(powerinfer_cache_open(model, 1 << 24, POWERINFER_CACHE_F32, &cache), POWERINFER_OUT_OF_MEMORY);  // 8 TiB
  CHECK_OK(powerinfer_model_close(model));
  CHECK_EQUAL(cache, kUntouched);
  CHECK_OK(powerinfer_cache_open(open.model, 100, POWERINFER_CACHE_F16, &cache));
  CHECK_STATUS(powerinfer_cache_size(cache, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_cache_size(cache, &bytes));
  CHECK_EQUAL(bytes, 2.0 * 2 * 2 * 100 * 8 * 2);  // blocks, k and v, kv heads, positions, head_width, halves
  CHECK_OK(powerinfer_cache_close(cache));
  CHECK_STATUS(powerinfer_cache_close(cache), POWERINFER_INVALID_HANDLE);
}

TEST("powerinfer_embed: refuses rows that break a rule and leaves the batch as it was (seed 25)") {
  TinyOptions options = tiny_options();
  options.learned_positions = true;
  const TinyModel tiny(options, 25);
  const OpenModel open(tiny, 1, 0), other(tiny, 1, 0);
  const uint32_t cache = open.open_cache(100, 0), foreign = other.open_cache(8, 0);
  const auto embed = [&](std::vector<powerinfer_row> rows) { return powerinfer_embed(open.model, rows.data(), static_cast<uint32_t>(rows.size())); };
  CHECK_STATUS(powerinfer_attend(open.model, 0, nullptr), POWERINFER_INVALID_ARGUMENT);  // no batch
  CHECK_STATUS(powerinfer_merge(open.model, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(embed({{0, 0, cache}, {60, 1, cache}}));
  CHECK_STATUS(powerinfer_embed(open.model, nullptr, 1), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed(std::vector<powerinfer_row>(65)), POWERINFER_INVALID_ARGUMENT);
  const powerinfer_row one{};
  CHECK_STATUS(powerinfer_embed(open.model, &one, kHuge), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{61, 2, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{kHuge, 2, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{0, 100, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{0, kHuge, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{0, 90, cache}}), POWERINFER_INVALID_ARGUMENT);  // the model learned 80
  CHECK_STATUS(embed({{0, 3, cache}}), POWERINFER_INVALID_ARGUMENT);   // 2 was never there
  CHECK(last_error_has("nothing was at position 2"));
  CHECK_STATUS(embed({{0, 2, cache}, {1, 3, cache}, {2, 2, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK(last_error_has("two rows are at position 2"));
  CHECK_STATUS(embed({{0, 0, foreign}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{0, 0, open.model}}), POWERINFER_INVALID_HANDLE);
  CHECK_STATUS(embed({{0, 0, 0}}), POWERINFER_INVALID_HANDLE);
  CHECK_OK(powerinfer_attend(open.model, 0, nullptr));  // still the first batch, of two rows
  CHECK_OK(powerinfer_ffn(open.model, 0, nullptr, 2, nullptr, 0, nullptr));
  CHECK_EQUAL(open.counters().row_count, 2.0);

  CHECK_OK(powerinfer_cache_close(cache));
  CHECK_STATUS(powerinfer_attend(open.model, 1, nullptr), POWERINFER_INVALID_HANDLE);
  CHECK(last_error_has("closed during the batch"));
  CHECK_OK(powerinfer_cache_close(foreign));
}

TEST("a batch: calls out of turn and arguments out of range are refused (seed 26)") {
  const TinyModel tiny(tiny_options(), 26);
  const OpenModel open(tiny, 1, 0);
  const powerinfer_model_shape& s = tiny.options.shape;
  const uint32_t cache = open.open_cache(8, 0);
  std::vector<float> hidden(uint64_t{s.row_count_max} * s.hidden_width), logits(3 * s.vocabulary_size), neurons(3 * s.ffn_width);
  std::vector<uint32_t> active(3 * 5, 0);
  const uint32_t rows[] = {0, 1, 2};
  const powerinfer_row batch[] = {{1, 0, cache}, {2, 1, cache}};
  CHECK_STATUS(powerinfer_ffn(open.model, 0, nullptr, 1, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);          // no attend yet
  CHECK_STATUS(powerinfer_ffn(open.model, 0, hidden.data(), 1, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);   // no batch to keep it for
  CHECK_OK(powerinfer_ffn(open.model, 0, hidden.data(), 3, nullptr, 0, hidden.data()));                               // a share needs no batch
  CHECK_STATUS(powerinfer_logits(open.model, rows, 1, logits.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_embed(open.model, batch, 2));
  CHECK_STATUS(powerinfer_attend(open.model, 2, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_attend(open.model, kHuge, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_ffn(open.model, 0, nullptr, 2, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_attend(open.model, 0, hidden.data()));
  CHECK_STATUS(powerinfer_ffn(open.model, 2, nullptr, 2, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_ffn(open.model, 0, nullptr, 1, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_ffn(open.model, 0, hidden.data(), 0, nullptr, 0, hidden.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_ffn(open.model, 0, hidden.data(), kHuge, nullptr, 0, hidden.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_ffn(open.model, 0, hidden.data(), 2, nullptr, 2, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_ffn(open.model, 0, nullptr, 2, active.data(), 0, nullptr), POWERINFER_INCOMPLETE);  // down by rows only
  CHECK_STATUS(powerinfer_ffn(open.model, 0, nullptr, 2, nullptr, POWERINFER_FFN_CONFIRM, nullptr), POWERINFER_INCOMPLETE);
  active[9] = 1u << 24;  // row 1, neuron 152
  CHECK_STATUS(powerinfer_ffn(open.model, 0, nullptr, 2, active.data(), 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK(last_error_has("active of row 1"));
  CHECK_STATUS(powerinfer_merge(open.model, 0, nullptr), POWERINFER_INVALID_ARGUMENT);  // nothing kept
  CHECK_OK(powerinfer_ffn(open.model, 0, nullptr, 2, nullptr, 0, nullptr));
  CHECK_STATUS(powerinfer_merge(open.model, 1, nullptr), POWERINFER_INVALID_ARGUMENT);  // kept for block 0
  CHECK_STATUS(powerinfer_merge(open.model, 2, hidden.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_merge(open.model, 0, nullptr));
  CHECK_STATUS(powerinfer_merge(open.model, 0, nullptr), POWERINFER_INVALID_ARGUMENT);  // once only
  CHECK_OK(powerinfer_merge(open.model, 0, hidden.data()));
  CHECK_STATUS(powerinfer_activations(open.model, 0, hidden.data(), 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_activations(open.model, 9, hidden.data(), 1, neurons.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_activations(open.model, 0, nullptr, 1, neurons.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_activations(open.model, 0, nullptr, 2, neurons.data()));
  CHECK_STATUS(powerinfer_logits(open.model, nullptr, 1, logits.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_logits(open.model, rows, 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_logits(open.model, rows, 0, logits.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_logits(open.model, rows, 3, logits.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_logits(open.model, rows + 2, 1, logits.data()), POWERINFER_INVALID_ARGUMENT);
  powerinfer_counters counters{};
  CHECK_STATUS(powerinfer_counters_read(open.model, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_counters_read(open.model, &counters), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_cache_close(cache));
}

TEST("models on one CPU: two threads running at once get the logits of one (seed 27)") {
  const TinyModel tiny(tiny_options(), 27);
  uint32_t cpu = 0;
  CHECK_OK(powerinfer_cpu_open(2, 0, &cpu));
  const OpenModel first(tiny, 2, 0), second(tiny, 2, 0);
  const std::vector<uint32_t> tokens = {4, 8, 15, 16, 23, 42};
  const std::vector<float> expected = first.prefill(tokens, 2, POWERINFER_CACHE_F32);
  std::vector<float> results[2];
  std::thread a([&] { for (int i = 0; i < 20; ++i) results[0] = first.prefill(tokens, 1, POWERINFER_CACHE_F32); });
  std::thread b([&] { for (int i = 0; i < 20; ++i) results[1] = second.prefill(tokens, 3, POWERINFER_CACHE_F32); });
  a.join();
  b.join();
  CHECK(results[0] == expected);
  CHECK(results[1] == expected);
  CHECK_OK(powerinfer_cpu_close(cpu));
}

}  // namespace
}  // namespace powerinfer_test
