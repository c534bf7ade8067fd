// The ABI of models and caches: open, bind, close.
#include <cstdio>

#include "abi.h"
#include "batch_checks.h"

namespace powerinfer {

HandleTable<Model>& models() {
  static auto& table = *new HandleTable<Model>(2, "model");
  return table;
}

HandleTable<Cache>& caches() {
  static auto& table = *new HandleTable<Cache>(3, "cache");
  return table;
}

void check_cache(uint32_t position_count, uint32_t cache_type) {
  if (position_count == 0 || position_count > kPositionCountMax) {
    fail(POWERINFER_INVALID_ARGUMENT, "position_count is %u; it must be from 1 to %u", position_count, kPositionCountMax);
  }
  if (cache_type >= kCacheTypeCount) fail(POWERINFER_INVALID_ARGUMENT, "no cache type has number %u", cache_type);
}

}  // namespace powerinfer

using namespace powerinfer;

powerinfer_status powerinfer_model_open(uint32_t cpu, const powerinfer_model_shape* shape, uint32_t* model) {
  return guarded("open the model", [&] {
    std::shared_ptr<Cpu> opened = cpus().get(cpu);
    const powerinfer_model_shape& given = required_struct(shape, "shape");
    uint32_t& out = required(model, "model");
    out = models().add(std::make_shared<Model>(std::move(opened), given));
  });
}

powerinfer_status powerinfer_model_bind(uint32_t model, uint32_t role, uint32_t block, uint32_t file, double offset_bytes, uint32_t type,
                                        uint32_t width, uint32_t rows) {
  char action[96] = "bind ";
  describe_tensor(role, block, action + 5, sizeof action - 5);
  return guarded(action, [&] {
    const std::shared_ptr<Model> opened = models().get(model);
    std::shared_ptr<MappedFile> source = files().get(file);
    const uint64_t offset = checked_bytes(offset_bytes, "offset_bytes");
    const std::lock_guard<std::mutex> lock(opened->cpu->busy);
    bind_tensor(*opened, role, block, {std::move(source), offset, type, width, rows});
  });
}

powerinfer_status powerinfer_model_make_resident(uint32_t model, uint32_t role, uint32_t block, uint32_t layout) {
  char action[96] = "keep in memory ";
  describe_tensor(role, block, action + 15, sizeof action - 15);
  return guarded(action, [&] {
    const std::shared_ptr<Model> opened = models().get(model);
    if (layout > POWERINFER_RESIDENT_PANELS) fail(POWERINFER_INVALID_ARGUMENT, "there is no layout %u", layout);
    const std::lock_guard<std::mutex> lock(opened->cpu->busy);
    make_resident(*opened, role, block, layout == POWERINFER_RESIDENT_PANELS);
  });
}

powerinfer_status powerinfer_model_rope(uint32_t model, const float* inverse_frequencies, uint32_t count) {
  return guarded("set the rope frequencies", [&] {
    const std::shared_ptr<Model> opened = models().get(model);
    required(inverse_frequencies, "inverse_frequencies");
    const std::lock_guard<std::mutex> lock(opened->cpu->busy);
    set_rope(*opened, inverse_frequencies, count);
  });
}

powerinfer_status powerinfer_model_thresholds(uint32_t model, uint32_t block, const float* gate, const float* activation) {
  return guarded("set the thresholds", [&] {
    const std::shared_ptr<Model> opened = models().get(model);
    check_block(opened->shape, block);
    const uint32_t count = opened->shape.ffn_width;
    const auto copied = [&](const float* values) { return values == nullptr ? Vector() : Vector(values, values + count); };
    const std::lock_guard<std::mutex> lock(opened->cpu->busy);
    opened->blocks[block].gate_threshold = copied(gate);
    opened->blocks[block].activation_threshold = copied(activation);
  });
}

powerinfer_status powerinfer_model_ready(uint32_t model) {
  return guarded("make the model ready", [&] {
    const std::shared_ptr<Model> opened = models().get(model);
    const std::lock_guard<std::mutex> lock(opened->cpu->busy);
    make_ready(*opened);
  });
}

powerinfer_status powerinfer_model_close(uint32_t model) {
  return guarded("close the model", [&] { models().remove(model); });
}

powerinfer_status powerinfer_cache_open(uint32_t model, uint32_t position_count, uint32_t cache_type, uint32_t* cache) {
  return guarded("open a cache", [&] {
    const std::shared_ptr<Model> opened = models().get(model);
    uint32_t& out = required(cache, "cache");
    check_cache(position_count, cache_type);
    const std::lock_guard<std::mutex> lock(opened->cpu->busy);
    auto created = std::make_shared<Cache>(opened->identity, opened->shape, position_count, cache_type);
    reserve_spans(*opened, position_count);
    out = caches().add(std::move(created));
  });
}

powerinfer_status powerinfer_cache_size(uint32_t cache, double* size_bytes) {
  return guarded("size the cache", [&] {
    double& out = required(size_bytes, "size_bytes");
    out = static_cast<double>(caches().get(cache)->size_bytes());
  });
}

powerinfer_status powerinfer_cache_close(uint32_t cache) {
  return guarded("close the cache", [&] { caches().remove(cache); });
}
