// What does a row take from the positions before it? Norm, q k v, rope, cache, attention, output, residual, FFN norm; and what leaves the device then.
#include <algorithm>

#include "device.h"

namespace powerinfer::cuda {
namespace {

void norm(const Device& device, const DeviceRows& x, const float* weight, const float* bias, const DeviceRows& out) {
  launch_norm({device.shape.norm, device.shape.norm_epsilon, weight, bias, x, nullptr, device.row_count, out}, device.queue());
}

Multiply product(const Device& device, const DeviceMatrix& weight, const float* bias, const DeviceRows& x, const DeviceRows& out, bool add) {
  return {weight, bias, add, x, device.row_count, out.values, out.stride};
}

// Grids are made for a position; graphs of one serve all up to it.
uint32_t rounded_position(const Device& device) {
  uint32_t rounded = 256;
  while (rounded <= device.position_max) rounded *= 2;
  return std::min(rounded, device.scratch_positions) - 1;
}

void hand_over_hidden(Device& device) {
  launch_hand_over({device.work.ffn_input, device.row_count, nullptr, 0, device.exchange->hidden_out, nullptr, device.exchange->hidden_arrived,
                    device.work.hidden_sequence},
                   device.queue());
}

void launch_block(Device& device, uint32_t index, uint32_t position_max) {
  const powerinfer_model_shape& s = device.shape;
  const Workspace& w = device.work;
  const BlockWeights& b = device.block(index);
  cudaStream_t queue = device.queue();
  norm(device, w.residual, b.attention_norm, b.attention_norm_bias, w.normed);
  if (s.parallel != 0) {
    // A parallel FFN reads the same residual: it is taken before attention changes it.
    norm(device, w.residual, b.ffn_norm, b.ffn_norm_bias, w.ffn_input);
    check(cudaMemcpyAsync(w.block_input.values, w.residual.values, uint64_t{device.row_count} * w.residual.stride * sizeof(float), cudaMemcpyDeviceToDevice, queue),
          "copy the residual");
  }
  launch_products({product(device, b.q, b.q_bias, w.normed, w.q, false), product(device, b.k, b.k_bias, w.normed, w.k, false),
                   product(device, b.v, b.v_bias, w.normed, w.v, false)},
                  queue);
  launch_store_heads({index, s.head_count, s.kv_head_count, s.head_width, s.rope, s.rope_width, w.cosines, w.sines, b.q_norm, b.k_norm, s.norm_epsilon, w.rows,
                      device.row_count, w.caches, w.q, w.k, w.v},
                     queue);
  launch_attend({index, s.head_count, s.kv_head_count, s.head_width, w.rows, device.row_count, position_max, w.caches, w.q, w.attended,
                 reinterpret_cast<float*>(device.attend_scratch.bytes())},
                queue);
  launch_multiply(product(device, b.attention_output, b.attention_output_bias, w.attended, w.residual, true), queue);
  if (s.parallel == 0) norm(device, w.residual, b.ffn_norm, b.ffn_norm_bias, w.ffn_input);
  if (device.hands_over(index)) hand_over_hidden(device);
}

void count(Device& device, uint32_t block) {
  for (const uint32_t role : {POWERINFER_Q, POWERINFER_K, POWERINFER_V, POWERINFER_ATTENTION_OUTPUT}) {
    device.dense_bytes += device.weights->tensor_bytes(role, block);
  }
  device.cache_bytes += device.cache_bytes_of_block;
}

}  // namespace

void attend(Device& device, uint32_t block, float* hidden) {
  merge_kept(device, nullptr);
  device.active_handed_over = false;
  if (device.row_count == 1) {
    const uint32_t position_max = rounded_position(device);
    device.graphs.run({GraphKey::kAttend, block, position_max, 0}, device.queue(), [&] { launch_block(device, block, position_max); });
  } else {
    launch_block(device, block, device.position_max);
  }
  check_launches("attend");
  device.hidden_handed_over = device.hands_over(block);
  if (device.hidden_handed_over) ++device.hidden_expected;
  count(device, block);
  if (hidden != nullptr) read_hidden(device, hidden);
}

void read_hidden(Device& device, float* hidden) {
  if (!device.hidden_handed_over) {
    hand_over_hidden(device);
    check_launches("hand over the hidden vectors");
    ++device.hidden_expected;
    device.hidden_handed_over = true;
  }
  wait_for(device.queue(), device.exchange->hidden_arrived, device.hidden_expected);
  const float* const from = device.exchange->hidden_out;
  std::copy(from, from + uint64_t{device.row_count} * device.shape.hidden_width, hidden);
}

}  // namespace powerinfer::cuda
