// How fast does the device copy within its memory?
#include "../memory.h"
#include "micro_measure.h"
#include "microbench.h"

using namespace powerinfer::cuda;

namespace powerinfer_check {

double measure_copy(const MicroPlace& place) {
  Budget budget(2 * place.copy_size_bytes);
  const DeviceMemory from(budget, place.copy_size_bytes, "a copy"), to(budget, place.copy_size_bytes, "a copy");
  const double seconds = median_seconds(place.repetitions, [&] {
    check(cudaMemcpyAsync(to.bytes(), from.bytes(), place.copy_size_bytes, cudaMemcpyDeviceToDevice, place.stream), "copy");
    check(cudaStreamSynchronize(place.stream), "copy");
  });
  return 2 * static_cast<double>(place.copy_size_bytes) / seconds;
}

Json bandwidth_row(const MicroPlace& place, const char* name, double bytes, double seconds) {
  Json row;
  row.text("name", name).number("seconds", seconds).number("bytes", bytes).number("bytes_per_s", bytes / seconds);
  return row.number("of_copy", bytes / seconds / place.copy_bytes_per_s);
}

}  // namespace powerinfer_check
