// How does a class become a predictor's table of C functions, and how does it read what it is opened with?
//
// A built-in predictor keeps the contract of powerinfer_plugin.h and has nothing that a plugin of others lacks but the library's own kernels.
#pragma once
#include <cstring>
#include <exception>
#include <new>
#include <type_traits>

#include "../cpu/error.h"
#include "../cpu/kernels.h"
#include "../include/powerinfer_plugin.h"

namespace powerinfer {

// What this thread's last_error is from now on.
void keep_words(const char* words) noexcept;

template <class Body>
powerinfer_status with_words(Body&& body) noexcept {
  try {
    body();
    return POWERINFER_OK;
  } catch (const Failure& failure) {
    keep_words(failure.state);
    return failure.status;
  } catch (const std::bad_alloc&) {
    keep_words("no memory is left");
    return POWERINFER_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    keep_words(error.what());
    return POWERINFER_UNSUPPORTED;
  }
}

// `P` is constructed from the context, throwing a Failure where it refuses, and has select(const powerinfer_select&), which may throw one too.
template <class P>
constexpr powerinfer_predictor_kernels kernels_of(uint32_t flags) {
  return {sizeof(powerinfer_predictor_kernels),
          flags,
          [](const powerinfer_plugin_context* context, void** state) { return with_words([&] { *state = new P(*context); }); },
          [](void* state) { delete static_cast<P*>(state); },
          [](void* state, const powerinfer_select* call) { return with_words([&] { static_cast<P*>(state)->select(*call); }); },
          nullptr,
          nullptr};
}

// Runs body(chunk) for each chunk, on the threads of whoever asks.
template <class F>
void for_each_chunk(const powerinfer_select& call, uint32_t chunk_count, F&& body) {
  using Body = std::remove_reference_t<F>;
  call.parallel_for(call.host, chunk_count, [](void* f, uint32_t chunk, uint32_t) { (*static_cast<Body*>(f))(chunk); }, &body);
}

// Calls for rows of a batch; one row (decode) is cheaper done here than handed to a thread.
template <class F>
void for_each_call_row(const powerinfer_select& call, F&& body) {
  if (call.row_count == 1) return body(0u);
  for_each_chunk(call, call.row_count, body);
}

// What `hidden` was before its norm. Fails with UNSUPPORTED where nobody knows it.
const float* residual_of(const powerinfer_select& call);

// A setting of one block: "rank.3".
struct BlockName {
  char text[48];
  BlockName(const char* name, uint32_t block);
};

// A whole number from 0 to `most`. Fails with INVALID_ARGUMENT if there is none of that name.
uint32_t number_of(const powerinfer_plugin_context& context, const char* name, uint32_t most);
// Fails with INVALID_ARGUMENT if there is none of that name, or of another size.
const uint8_t* array_of(const powerinfer_plugin_context& context, const char* name, uint64_t size_bytes);
// The kernels of the option `isa` (POWERINFER_ISA_x; absent: the best here). Fails with UNSUPPORTED.
const Kernels& kernels_of(const powerinfer_plugin_context& context);

}  // namespace powerinfer
