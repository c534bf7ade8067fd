// How do the shares of a block come together? Parts of the own FFN, one other device's sum and the bias are added to the residual by one kernel.
#include <algorithm>

#include "device.h"

namespace powerinfer::cuda {

void merge_kept(Device& device, const float* other) {
  if (!device.kept && other == nullptr) return;
  const Workspace& w = device.work;
  const float* const parts = device.kept ? w.parts.values : nullptr;
  const uint32_t part_count = device.kept ? device.kept_part_count : 0;
  const float* const bias = device.kept ? device.block(device.kept_block).down_bias : nullptr;
  launch_merge({w.residual.values, parts, part_count, part_count == 1 ? 0 : w.part_rows, other, device.shape.hidden_width, bias, device.row_count, w.residual},
               device.queue());
  check_launches("merge the shares");
  device.kept = false;
}

void merge(Device& device, uint32_t, const float* partial) {
  // The own share waits for the first other one; the next stage adds it if there is none.
  if (partial == nullptr) return;
  const uint32_t slot = device.remote_next++ % kRemoteCount;
  float* const to = device.exchange->remote[slot];
  cudaEvent_t read = device.remote_read[slot]->handle;
  check(cudaEventSynchronize(read), "merge the shares");
  std::copy(partial, partial + uint64_t{device.row_count} * device.shape.hidden_width, to);
  merge_kept(device, to);
  check(cudaEventRecord(read, device.queue()), "merge the shares");
}

}  // namespace powerinfer::cuda
