// The ABI of everything that needs no model: errors, machine, files, block formats, CPUs.
#include <cstring>

#include "abi.h"
#include "machine.h"
#include "repack.h"

namespace powerinfer {

HandleTable<MappedFile>& files() {
  static auto& table = *new HandleTable<MappedFile>(0, "file");
  return table;
}

HandleTable<Cpu>& cpus() {
  static auto& table = *new HandleTable<Cpu>(1, "cpu");
  return table;
}

std::string checked_path(const char* path, uint32_t length) {
  required(path, "path");
  if (length == 0 || length > kPathLengthMax) {
    fail(POWERINFER_INVALID_ARGUMENT, "the path has %u bytes; it must have 1 to %u", length, kPathLengthMax);
  }
  if (std::memchr(path, 0, length) != nullptr) fail(POWERINFER_INVALID_ARGUMENT, "the path contains a NUL");
  return std::string(path, length);
}

uint64_t checked_bytes(double value, const char* name) {
  if (!(value >= 0 && value <= kFileBytesMax) || value != static_cast<double>(static_cast<uint64_t>(value))) {
    fail(POWERINFER_INVALID_ARGUMENT, "%s is %g; it must be a whole number from 0 to 2^53", name, value);
  }
  return static_cast<uint64_t>(value);
}

}  // namespace powerinfer

using namespace powerinfer;

uint32_t powerinfer_abi_version(void) { return POWERINFER_ABI_VERSION; }

uint32_t powerinfer_last_error(char* text, uint32_t capacity) { return copy_last_error(text, capacity); }

powerinfer_status powerinfer_machine_read(powerinfer_machine* machine) {
  return guarded("read the machine", [&] {
    powerinfer_machine& out = required_struct(machine, "machine");
    const Machine read = read_machine();
    out = {sizeof out, supported_isas(), read.core_count, 0, read.memory_bytes, read.memory_available_bytes};
  });
}

powerinfer_status powerinfer_file_open(const char* path, uint32_t path_length, uint32_t* file) {
  return guarded("open the file", [&] {
    uint32_t& out = required(file, "file");
    out = files().add(std::make_shared<MappedFile>(checked_path(path, path_length)));
  });
}

powerinfer_status powerinfer_file_size(uint32_t file, double* size_bytes) {
  return guarded("size the file", [&] {
    double& out = required(size_bytes, "size_bytes");
    out = static_cast<double>(files().get(file)->size_bytes());
  });
}

powerinfer_status powerinfer_file_close(uint32_t file) {
  return guarded("close the file", [&] { files().remove(file); });
}

powerinfer_status powerinfer_dequantize(uint32_t type, const void* blocks, uint32_t block_bytes, float* weights, uint32_t count) {
  return guarded("dequantize", [&] {
    uint32_t isa = POWERINFER_ISA_SCALAR;
    const Kernels& scalar = *kernels_for(isa);
    if (type >= kTypeCount || scalar.dequantize[type] == nullptr) fail(POWERINFER_UNSUPPORTED, "tensor type %u is unknown", type);
    const uint8_t& from = required(static_cast<const uint8_t*>(blocks), "blocks");
    required(weights, "weights");
    const uint64_t bytes = row_bytes(type, count);
    if (count > 0 && bytes == 0) fail(POWERINFER_INVALID_ARGUMENT, "%u weights are not whole blocks of tensor type %u", count, type);
    if (bytes != block_bytes) {
      fail(POWERINFER_INVALID_ARGUMENT, "%u weights of tensor type %u are %.0f bytes, %u were given",
           count, type, static_cast<double>(bytes), block_bytes);
    }
    scalar.dequantize[type](&from, weights, count);
  });
}

powerinfer_status powerinfer_cpu_open(uint32_t thread_count, uint32_t isa, uint32_t* cpu) {
  return guarded("open the CPU", [&] {
    uint32_t& out = required(cpu, "cpu");
    if (thread_count > kThreadCountMax) {
      fail(POWERINFER_INVALID_ARGUMENT, "%u threads were asked for; at most %u can be", thread_count, kThreadCountMax);
    }
    if (isa > POWERINFER_ISA_AVX512_VNNI) fail(POWERINFER_INVALID_ARGUMENT, "no instruction set has number %u", isa);
    uint32_t chosen = isa;
    const Kernels* const kernels = kernels_for(chosen);
    if (kernels == nullptr) fail(POWERINFER_UNSUPPORTED, "this CPU lacks instruction set %u; 0 takes the best it has", isa);
    const uint32_t threads = thread_count == 0 ? std::min(read_machine().core_count, kThreadCountMax) : thread_count;
    out = cpus().add(std::make_shared<Cpu>(threads, chosen, *kernels));
  });
}

powerinfer_status powerinfer_cpu_describe(uint32_t cpu, uint32_t* thread_count, uint32_t* isa) {
  return guarded("describe the CPU", [&] {
    const std::shared_ptr<Cpu> opened = cpus().get(cpu);
    uint32_t& threads_out = required(thread_count, "thread_count");
    uint32_t& isa_out = required(isa, "isa");
    threads_out = opened->pool.thread_count();
    isa_out = opened->isa;
  });
}

namespace {

// What is smaller than that is read from a cache, whatever else is in it.
void check_measured(const char* what, uint64_t size_bytes, uint32_t repetitions) {
  constexpr uint64_t kSizeBytesMin = 1u << 20;
  constexpr uint32_t kRepetitionsMax = 1000;
  if (size_bytes < kSizeBytesMin) {
    fail(POWERINFER_INVALID_ARGUMENT, "%s is %.0f; it must be at least 2^20, and larger than the caches", what,
         static_cast<double>(size_bytes));
  }
  if (repetitions == 0 || repetitions > kRepetitionsMax) {
    fail(POWERINFER_INVALID_ARGUMENT, "repetitions is %u; it must be from 1 to %u", repetitions, kRepetitionsMax);
  }
}

}  // namespace

powerinfer_status powerinfer_cpu_measure_bandwidth(uint32_t cpu, double size_bytes, uint32_t repetitions, double* bytes_per_s) {
  return guarded("measure the bandwidth", [&] {
    const std::shared_ptr<Cpu> opened = cpus().get(cpu);
    double& out = required(bytes_per_s, "bytes_per_s");
    const uint64_t size = checked_bytes(size_bytes, "size_bytes");
    check_measured("size_bytes", size, repetitions);
    require_memory(size, "the buffer");
    const std::lock_guard<std::mutex> lock(opened->busy);
    out = measure_bandwidth(*opened, size, repetitions);
  });
}

powerinfer_status powerinfer_cpu_measure_file_bandwidth(uint32_t cpu, uint32_t file, uint32_t repetitions, double* bytes_per_s) {
  return guarded("measure the bandwidth of a file", [&] {
    const std::shared_ptr<Cpu> opened = cpus().get(cpu);
    const std::shared_ptr<MappedFile> mapped = files().get(file);
    double& out = required(bytes_per_s, "bytes_per_s");
    check_measured("the file's size", mapped->size_bytes(), repetitions);
    const std::lock_guard<std::mutex> lock(opened->busy);
    out = measure_file_bandwidth(*opened, *mapped, repetitions);
  });
}

powerinfer_status powerinfer_cpu_close(uint32_t cpu) {
  return guarded("close the CPU", [&] {
    const uint32_t model_count = cpus().get(cpu)->model_count;
    if (model_count > 0) fail(POWERINFER_INVALID_ARGUMENT, "%u models are open on it; close them first", model_count);
    cpus().remove(cpu);
  });
}

namespace {

// Bytes of a repacked DOWN, after checking that there can be one.
uint64_t checked_repacked_bytes(uint32_t type, uint32_t hidden_width, uint32_t ffn_width) {
  if (type >= kFileTypeCount || row_bytes(type, 256) == 0) fail(POWERINFER_UNSUPPORTED, "tensor type %u is unknown", type);
  if (hidden_width == 0 || hidden_width > kWidthMax) {
    fail(POWERINFER_INVALID_ARGUMENT, "hidden_width is %u; it must be from 1 to %u", hidden_width, kWidthMax);
  }
  if (ffn_width == 0 || ffn_width > kWidthMax) fail(POWERINFER_INVALID_ARGUMENT, "ffn_width is %u; it must be from 1 to %u", ffn_width, kWidthMax);
  const uint64_t bytes = repacked_down_bytes(type, hidden_width, ffn_width);
  if (bytes == 0) fail(POWERINFER_INVALID_ARGUMENT, "rows of %u weights are not whole blocks of tensor type %u", ffn_width, type);
  return bytes;
}

}  // namespace

powerinfer_status powerinfer_repack_down_size(uint32_t type, uint32_t hidden_width, uint32_t ffn_width, double* size_bytes) {
  return guarded("size a repacked down", [&] {
    double& out = required(size_bytes, "size_bytes");
    out = static_cast<double>(checked_repacked_bytes(type, hidden_width, ffn_width));
  });
}

powerinfer_status powerinfer_repack_down(uint32_t cpu, uint32_t from_file, double from_offset_bytes, uint32_t type, uint32_t hidden_width,
                                         uint32_t ffn_width, const char* to_path, uint32_t to_path_length, double to_offset_bytes) {
  return guarded("repack down", [&] {
    const std::shared_ptr<Cpu> opened = cpus().get(cpu);
    const std::shared_ptr<MappedFile> from = files().get(from_file);
    const uint64_t to_bytes = checked_repacked_bytes(type, hidden_width, ffn_width);
    const uint64_t from_offset = checked_bytes(from_offset_bytes, "from_offset_bytes");
    const uint64_t to_offset = checked_bytes(to_offset_bytes, "to_offset_bytes");
    const std::string path = checked_path(to_path, to_path_length);
    const uint8_t* const down = from->tensor(from_offset, row_bytes(type, ffn_width) * hidden_width);
    require_memory(to_bytes, "the repacked tensor");
    // Through memory rather than a writable mapping: a full disk is then an error of write, not a SIGBUS.
    const Buffer<uint8_t> repacked(to_bytes);
    {
      const std::lock_guard<std::mutex> lock(opened->busy);
      repack_down(opened->pool, type, hidden_width, ffn_width, down, repacked.get());
    }
    write_at(path, to_offset, repacked.get(), to_bytes);
  });
}
