// Goal: the simulator runs kernels as CUDA defines them, so that what is tested on it is tested.
// Method: small kernels, one for each thing that a thread can do, against values worked out on the host.
#include <numeric>
#include <vector>

#include "../../test/test.h"
#include "../cuda.h"
#include "device_array.h"

namespace powerinfer_test {
namespace {

__global__ void number_threads(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

TEST("every thread of every block runs once and knows its place") {
  const dim3 grid(3, 2, 4), block(5, 3, 2);
  DeviceArray<unsigned> out(std::vector<unsigned>(24 * 30, 7));
  CUDA_LAUNCH(number_threads, grid, block, 0, nullptr, out.get());
  const std::vector<unsigned> values = out.read();
  for (unsigned i = 0; i < values.size(); ++i) CHECK_EQUAL(values[i], i / 30 * 1000 + i % 30);
}

// Reverses a block's values through shared memory whose size the launch says, then sums neighbours through a fixed one.
__global__ void reverse_and_sum(float* values) {
  CUDA_DYNAMIC_SHARED(float, reversed);
  __shared__ float sums[256];
  reversed[blockDim.x - 1 - threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  sums[threadIdx.x] = reversed[threadIdx.x] + reversed[(threadIdx.x + 1) % blockDim.x];
  __syncthreads();
  values[blockIdx.x * blockDim.x + threadIdx.x] = sums[(threadIdx.x + 7) % blockDim.x];
}

TEST("threads of a block share memory and wait for each other at barriers") {
  for (const unsigned threads : {1u, 31u, 32u, 33u, 64u, 65u, 256u}) {
    constexpr unsigned kBlocks = 5;
    std::vector<float> before(threads * kBlocks);
    std::iota(before.begin(), before.end(), 1.0f);
    DeviceArray<float> values(before);
    CUDA_LAUNCH(reverse_and_sum, kBlocks, threads, threads * sizeof(float), nullptr, values.get());
    const std::vector<float> after = values.read();
    for (unsigned i = 0; i < after.size(); ++i) {
      const unsigned base = i / threads * threads, at = (i % threads + 7) % threads;
      const auto reversed = [&](unsigned k) { return before[base + threads - 1 - k]; };
      CHECK_EQUAL(after[i], reversed(at) + reversed((at + 1) % threads));
    }
  }
}

__global__ void shuffle_lanes(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  constexpr unsigned kAll = 0xffffffffu;
  out[lane] = __shfl_sync(kAll, lane * 10, 5);
  out[32 + lane] = __shfl_sync(kAll, lane, 3, 8);
  out[64 + lane] = __shfl_xor_sync(kAll, lane, 16);
  out[96 + lane] = __shfl_xor_sync(kAll, lane, 8, 8);
  out[128 + lane] = __shfl_up_sync(kAll, lane, 3);
  out[160 + lane] = __shfl_down_sync(kAll, lane, 3, 16);
}

TEST("shuffles give the lane that they name, within their width") {
  DeviceArray<int> out(std::vector<int>(192));
  CUDA_LAUNCH(shuffle_lanes, 1, 32, 0, nullptr, out.get());
  const std::vector<int> values = out.read();
  for (int lane = 0; lane < 32; ++lane) {
    const auto at = [&](int row) { return values[static_cast<size_t>(32 * row + lane)]; };
    CHECK_EQUAL(at(0), 50);
    CHECK_EQUAL(at(1), lane / 8 * 8 + 3);
    CHECK_EQUAL(at(2), lane ^ 16);
    CHECK_EQUAL(at(3), lane & 8 ? lane ^ 8 : lane);
    CHECK_EQUAL(at(4), lane < 3 ? lane : lane - 3);
    CHECK_EQUAL(at(5), lane % 16 < 13 ? lane + 3 : lane);
  }
}

// The halves of a warp go separate ways, each with its mask, a different number of times.
__global__ void vote_by_halves(unsigned* out) {
  const unsigned lane = threadIdx.x;
  if (lane < 16) {
    unsigned sum = 0;
    for (unsigned i = 0; i < 5; ++i) sum += __reduce_add_sync(0xffffu, lane + i);
    out[lane] = sum;
  } else {
    out[lane] = __ballot_sync(0xffff0000u, lane % 3 == 0);
  }
  __syncwarp();
  const int any = __any_sync(0xffffffffu, lane == 9), most = __all_sync(0xffffffffu, lane != 9), all = __all_sync(0xffffffffu, lane < 32);
  out[32 + lane] = static_cast<unsigned>(any + 2 * most + 4 * all);
  out[64 + lane] = __reduce_max_sync(0xffffffffu, lane * 7 % 32);
}

TEST("votes and reductions are among the lanes of their mask") {
  DeviceArray<unsigned> out(std::vector<unsigned>(96));
  CUDA_LAUNCH(vote_by_halves, 1, 32, 0, nullptr, out.get());
  const std::vector<unsigned> values = out.read();
  for (unsigned lane = 0; lane < 32; ++lane) {
    CHECK_EQUAL(values[lane], lane < 16 ? 5 * 120 + 16 * 10 : 0x49240000u);
    CHECK_EQUAL(values[32 + lane], 5u);
    CHECK_EQUAL(values[64 + lane], 31u);
  }
}

struct Counters {
  unsigned added, maximum, bits, exchanged;
  int lowest;
  float sum;
  unsigned long long wide;
};

__global__ void count(Counters* counters) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&counters->added, 2u);
  atomicMax(&counters->maximum, i);
  atomicMin(&counters->lowest, -static_cast<int>(i));
  atomicOr(&counters->bits, 1u << i % 32);
  atomicAdd(&counters->sum, 0.5f);
  atomicAdd(&counters->wide, 1ull << 32);
  if (atomicCAS(&counters->exchanged, 0u, i + 1) == 0) atomicAdd(&counters->added, 1000000u);
}

TEST("atomics lose no update") {
  DeviceArray<Counters> counters(std::vector<Counters>(1));
  CUDA_LAUNCH(count, 50, 64, 0, nullptr, counters.get());
  const Counters seen = counters.read()[0];
  CHECK_EQUAL(seen.added, 1000000u + 6400u);
  CHECK_EQUAL(seen.maximum, 3199u);
  CHECK_EQUAL(seen.lowest, -3199);
  CHECK_EQUAL(seen.bits, 0xffffffffu);
  CHECK_EQUAL(seen.sum, 1600.0f);
  CHECK_EQUAL(seen.wide, 3200ull << 32);
  CHECK(seen.exchanged >= 1 && seen.exchanged <= 3200);
}

template <class T, int kScale>
__global__ void scale(T* values, T offset) {
  values[threadIdx.x] = values[threadIdx.x] * kScale + offset;
}

TEST("kernels may be templates, and arguments are converted when they are launched") {
  DeviceArray<float> values(std::vector<float>{1, 2, 3, 4});
  CUDA_LAUNCH((scale<float, 3>), 1, 4, 0, nullptr, values.get(), 1);
  const std::vector<float> scaled = values.read();
  for (unsigned i = 0; i < 4; ++i) CHECK_EQUAL(scaled[i], 3.0f * static_cast<float>(i + 1) + 1.0f);
}

__global__ void use_integer_intrinsics(int* out) {
  const int results[] = {
      __popc(0xf0f0u),
      __clz(1),
      __clz(0),
      __ffs(0),
      __ffs(0x50),
      static_cast<int>(__brev(0x80000001u)),
      static_cast<int>(__brev(6u)),
      __dp4a(0x7f80ff01, 0x02030405, 100),
      static_cast<int>(__dp4a(0xff000001u, 0x02000003u, 1u)),
      static_cast<int>(__byte_perm(0x33221100u, 0x77665544u, 0x6103u)),
      static_cast<int>(__byte_perm(0x00008000u, 0u, 0x0009u)),
      static_cast<int>(__funnelshift_r(0x11112222u, 0x33334444u, 16)),
      static_cast<int>(__funnelshift_l(0x11112222u, 0x33334444u, 8)),
      static_cast<int>(__vadd4(0x01ff7f80u, 0x01010180u)),
      static_cast<int>(__vsub4(0x00010080u, 0x01010001u)),
      static_cast<int>(__vsubss4(0x80007f05u, 0x0100ff06u)),
      static_cast<int>(__umulhi(0x80000000u, 6u)),
  };
  for (const int result : results) *out++ = result;
}

TEST("integer intrinsics are as CUDA defines them") {
  const std::vector<unsigned> expected = {
      8, 31, 32, 0, 5, 0x80000001u, 0x60000000u, 0u - 29, 255 * 2 + 4, 0x66110033u,
      0x000000ffu, 0x44441111u, 0x33444411u, 0x02008000u, 0xff00007fu, 0x80007fffu, 3,
  };
  DeviceArray<int> out(std::vector<int>(expected.size()));
  CUDA_LAUNCH(use_integer_intrinsics, 1, 1, 0, nullptr, out.get());
  const std::vector<int> values = out.read();
  for (size_t i = 0; i < values.size(); ++i) CHECK_EQUAL(static_cast<unsigned>(values[i]), expected[i]);
}

TEST("16-bit floats convert with rounding to nearest even") {
  CHECK_EQUAL(__half_as_ushort(__float2half(1.0f + 0x1p-11f)), 0x3c00);
  CHECK_EQUAL(__half_as_ushort(__float2half(1.0f + 0x1.8p-10f)), 0x3c02);
  CHECK_EQUAL(__half2float(__ushort_as_half(0x7bff)), 65504.0f);
  CHECK_EQUAL(__half22float2(__floats2half2_rn(0.5f, -2.0f)).y, -2.0f);
  CHECK_EQUAL(__bfloat16_as_ushort(__float2bfloat16(1.0f + 0x1p-8f)), 0x3f80);
  CHECK_EQUAL(__bfloat16_as_ushort(__float2bfloat16(1.0f + 0x1.8p-7f)), 0x3f82);
  CHECK_EQUAL(__bfloat16_as_ushort(__float2bfloat16(NAN)), 0x7fff);
  CHECK_EQUAL(__bfloat162float(__ushort_as_bfloat16(0xc000)), -2.0f);
}

}  // namespace
}  // namespace powerinfer_test
