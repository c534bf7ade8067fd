// Streams: queues that a host has made.
//
// The default stream (null) is like any other here: nothing waits for it, nor it for others, without being told to.
#pragma once
#include "error.h"
#include "queue.h"

namespace cuda_sim {

struct Stream;
// The queue of a stream, of the current device's default stream for null; null for a stream that does not exist.
std::shared_ptr<Queue> queue_of(Stream* stream);

}  // namespace cuda_sim

using cudaStream_t = cuda_sim::Stream*;

constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;

cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
// Of a lazy stream it runs one piece, so that a host that polls gets on.
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaDeviceSynchronize();
