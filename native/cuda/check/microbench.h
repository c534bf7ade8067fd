// What is measured on a device, a part a file. All of it goes on one stream, and nothing is left on the device afterwards.
#pragma once
#include <vector>

#include "../kernels.h"
#include "json.h"

namespace powerinfer_check {

struct MicroPlace {
  cudaStream_t stream;
  uint32_t hidden_width, ffn_width;
  uint32_t repetitions;
  uint64_t cache_bytes;         // of the device's last-level cache: what is read has to be several times as much
  uint64_t copy_size_bytes;     // of the device copy
  double copy_bytes_per_s = 0;  // read and written together: what the rest is measured by
};

// Bytes per second, read and written, of cudaMemcpyAsync within the device.
double measure_copy(const MicroPlace& place);
// gate and up, compaction and down of a block whose neurons are 10% active, for F16, Q8_0, Q4_0 and Q4_K.
void measure_sparse_ffn(const MicroPlace& place, std::vector<Json>& rows);
// The product of a matrix with one row, for every type that the device reads.
void measure_multiply(const MicroPlace& place, std::vector<Json>& rows);
// Attention of one row over F16, F32 and Q8_0 caches.
void measure_attend(const MicroPlace& place, std::vector<Json>& rows);
// What the host waits for when a block is divided, and what launching takes.
void measure_hand_off(const MicroPlace& place, std::vector<Json>& rows);

// A row of the report: `bytes` in `seconds`.
Json bandwidth_row(const MicroPlace& place, const char* name, double bytes, double seconds);

}  // namespace powerinfer_check
