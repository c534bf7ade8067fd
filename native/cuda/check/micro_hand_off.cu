// What does dividing a block cost beside the work? And what does launching cost?
//
//   launch         of the least work there is (four bytes are set to zero), as one of many in a queue
//   graph_launch   of a graph of that, until it is done
//   hand_over      until the host sees the hidden vector and the neurons' names in its memory, from the launch on
//   hand_off       all that a divided block adds: hand over, copy a partial sum to where the device reads it, and merge it; the next hand-over waits for
//                  the merge
#include <algorithm>

#include "../device.h"
#include "micro_measure.h"
#include "microbench.h"

using namespace powerinfer::cuda;

namespace powerinfer_check {
namespace {

constexpr uint32_t kCycles = 100;

class HandOff {
 public:
  explicit HandOff(const MicroPlace& place)
      : place_(place), words_((place.ffn_width + 31) / 32), stride_(row_stride(place.hidden_width)), budget_(UINT64_MAX),
        host_((2 * uint64_t{place.hidden_width} + words_ + 64) * sizeof(float) + 4 * Layout::kAlignment) {
    Layout host(host_.bytes());
    hidden_ = host.take<float>(place.hidden_width);
    partial_ = host.take<float>(place.hidden_width);
    active_ = host.take<uint32_t>(words_);
    arrived_ = host.take<uint32_t>(1);
    *arrived_ = 0;
    device_ = DeviceMemory(budget_, (stride_ + words_ + 64) * sizeof(float) + 3 * Layout::kAlignment, "a hand-off");
    Layout device(device_.bytes());
    residual_ = {device.take<float>(stride_), stride_, place.hidden_width};
    named_ = device.take<uint32_t>(words_);
    sequence_ = device.take<uint32_t>(1);
  }

  void hand_over() {
    launch_hand_over({residual_, 1, named_, words_, hidden_, active_, arrived_, sequence_}, place_.stream);
    check_launches("hand over");
    wait_for(place_.stream, arrived_, ++expected_);
  }
  void merge(const std::vector<float>& partial) {
    std::copy(partial.begin(), partial.end(), partial_);
    launch_merge({residual_.values, nullptr, 0, 0, partial_, place_.hidden_width, nullptr, 1, residual_}, place_.stream);
  }
  void launch_small() const { check(cudaMemsetAsync(sequence_ + 1, 0, sizeof(uint32_t), place_.stream), "launch"); }

 private:
  const MicroPlace& place_;
  const uint32_t words_, stride_;
  Budget budget_;
  PinnedMemory host_;
  DeviceMemory device_;
  float *hidden_ = nullptr, *partial_ = nullptr;
  uint32_t *active_ = nullptr, *arrived_ = nullptr, *named_ = nullptr, *sequence_ = nullptr;
  DeviceRows residual_{};
  uint32_t expected_ = 0;
};

}  // namespace

void measure_hand_off(const MicroPlace& place, std::vector<Json>& rows) {
  HandOff hand_off(place);
  const std::vector<float> partial(place.hidden_width, 0);
  const uint32_t cycles = place.cache_bytes > 0 ? kCycles : 2;
  const auto add = [&](const char* name, double seconds) { rows.push_back(Json().text("name", name).number("seconds", seconds)); };
  const auto wait = [&] { check(cudaStreamSynchronize(place.stream), "wait"); };
  const auto each = [&](auto&& body) {
    return median_seconds(place.repetitions, [&] {
             for (uint32_t i = 0; i < cycles; ++i) body();
             wait();
           }) / cycles;
  };
  add("launch", each([&] { hand_off.launch_small(); }));
  const Graph graph(place.stream, [&] { hand_off.launch_small(); });
  add("graph_launch", each([&] {
        graph.launch();
        graph.wait();
      }));
  add("hand_over", each([&] { hand_off.hand_over(); }));
  add("hand_off", each([&] {
        hand_off.hand_over();
        hand_off.merge(partial);
      }));
}

}  // namespace powerinfer_check
