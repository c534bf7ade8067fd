// The ABI of a plugin's predictors: build, open, select, close.
#include <algorithm>
#include <chrono>
#include <vector>

#include "abi_plugin.h"

namespace powerinfer {

HandleTable<Predictor>& predictors() {
  static auto& table = *new HandleTable<Predictor>(5, "predictor");
  return table;
}

}  // namespace powerinfer

using namespace powerinfer;

namespace {

constexpr uint32_t kRepetitionsMax = 1u << 20;

double median(std::vector<double>& seconds) {
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

}  // namespace

powerinfer_status powerinfer_predictor_new(uint32_t plugin, const powerinfer_model_shape* shape, uint32_t* predictor) {
  return guarded("make a predictor", [&] {
    std::shared_ptr<const PluginLibrary> library = plugins().get(plugin);
    const powerinfer_model_shape& given = required_struct(shape, "shape");
    uint32_t& out = required(predictor, "predictor");
    out = predictors().add(std::make_shared<Predictor>(std::move(library), given));
  });
}

powerinfer_status powerinfer_predictor_option(uint32_t predictor, const char* name, uint32_t name_length, uint32_t kind, double number, const char* text,
                                              uint32_t text_length) {
  return guarded("set an option of the predictor", [&] {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::string option = checked_setting_name(name, name_length);
    const std::string words = checked_setting_text(kind, text, text_length);
    const std::lock_guard<std::mutex> lock(p->busy);
    p->settings.set_option(option, kind, number, words);
  });
}

powerinfer_status powerinfer_predictor_array(uint32_t predictor, const char* name, uint32_t name_length, const void* bytes, double size_bytes) {
  return guarded("set an array of the predictor", [&] {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::string array = checked_setting_name(name, name_length);
    const uint64_t size = checked_bytes(size_bytes, "size_bytes");
    const uint8_t* const from = static_cast<const uint8_t*>(bytes);
    if (size > 0) required(from, "bytes");
    const std::lock_guard<std::mutex> lock(p->busy);
    p->settings.set_array(array, from, size);
  });
}

powerinfer_status powerinfer_predictor_open(uint32_t predictor) {
  return guarded("open the predictor", [&] {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::lock_guard<std::mutex> lock(p->busy);
    open_predictor(*p);
  });
}

powerinfer_status powerinfer_predictor_select(uint32_t predictor, uint32_t cpu, uint32_t block, const float* hidden, const float* residual,
                                              uint32_t row_count, uint32_t* active) {
  return guarded("select neurons", [&] {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::shared_ptr<Cpu> threads = cpu == 0 ? nullptr : cpus().get(cpu);
    const float& first = required(hidden, "hidden");
    uint32_t& out = required(active, "active");
    // The CPU first: as everywhere, so that two threads cannot wait for each other.
    std::unique_lock<std::mutex> lock_threads;
    if (threads != nullptr) lock_threads = std::unique_lock<std::mutex>(threads->busy);
    const std::lock_guard<std::mutex> lock(p->busy);
    check_select(*p, block, row_count);
    select(*p, threads == nullptr ? nullptr : &threads->pool, block, {&first, residual, row_count}, &out);
  });
}

powerinfer_status powerinfer_predictor_measure(uint32_t predictor, uint32_t block, const float* hidden, uint32_t row_count, uint32_t repetitions,
                                               double* kernel_s, double* call_s) {
  return guarded("measure the predictor", [&] {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const float& first = required(hidden, "hidden");
    double& kernel_out = required(kernel_s, "kernel_s");
    double& call_out = required(call_s, "call_s");
    if (repetitions == 0 || repetitions > kRepetitionsMax) {
      fail(POWERINFER_INVALID_ARGUMENT, "repetitions is %u; it must be from 1 to %u", repetitions, kRepetitionsMax);
    }
    std::unique_lock<std::mutex> lock(p->busy);
    check_select(*p, block, row_count);
    const uint64_t words = uint64_t{row_count} * words_of(p->shape);
    const Buffer<uint32_t> active(words);
    const auto kernel = p->library->required(p->library->predictor.select_cpu, "select_cpu");
    const powerinfer_select call = select_call(*p, nullptr, block, {&first, nullptr, row_count}, active.get());
    using Clock = std::chrono::steady_clock;
    const auto seconds = [](Clock::duration passed) { return std::chrono::duration<double>(passed).count(); };
    std::vector<double> direct, whole;
    // By turns, so that whatever else the machine does meets both alike.
    for (uint32_t i = 0; i < repetitions; ++i) {
      std::fill(active.get(), active.get() + words, 0u);
      const Clock::time_point begin = Clock::now();
      const powerinfer_status status = kernel(p->state, &call);
      const Clock::time_point middle = Clock::now();
      p->library->check(status, "select");
      lock.unlock();
      const Clock::time_point again = Clock::now();
      const powerinfer_status called = powerinfer_predictor_select(predictor, 0, block, &first, nullptr, row_count, active.get());
      const Clock::time_point end = Clock::now();
      lock.lock();
      p->library->check(called, "select");
      direct.push_back(seconds(middle - begin));
      whole.push_back(seconds(end - again));
    }
    kernel_out = median(direct);
    call_out = median(whole);
  });
}

powerinfer_status powerinfer_predictor_close(uint32_t predictor) {
  return guarded("close the predictor", [&] { predictors().remove(predictor); });
}
