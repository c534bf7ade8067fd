// How fast is the product of a matrix with one row, beside a copy?
#include "micro_measure.h"
#include "micro_weights.h"
#include "microbench.h"

using namespace powerinfer;
using namespace powerinfer::cuda;

namespace powerinfer_check {

void measure_multiply(const MicroPlace& place, std::vector<Json>& rows) {
  Budget budget(UINT64_MAX);
  const uint32_t stride = row_stride(place.hidden_width);
  const DeviceMemory x(budget, stride * sizeof(float), "a row"), out(budget, uint64_t{place.ffn_width} * sizeof(float), "a product");
  const DeviceRows input{reinterpret_cast<float*>(x.bytes()), stride, place.hidden_width};
  for (const Type type : {F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K}) {
    const MicroWeights weights(budget, type, place.hidden_width, place.ffn_width, false, 4 * place.cache_bytes);
    const double seconds = graph_seconds(place.stream, place.repetitions, [&] {
      for (const DownMatrix& matrix : weights.matrices()) {
        launch_multiply({matrix.rows, nullptr, false, input, 1, reinterpret_cast<float*>(out.bytes()), place.ffn_width}, place.stream);
      }
    });
    const double count = static_cast<double>(weights.matrices().size());
    rows.push_back(bandwidth_row(place, "multiply", weights.file_bytes(), seconds / count).text("type", powerinfer_test::name_of(type)));
  }
}

}  // namespace powerinfer_check
