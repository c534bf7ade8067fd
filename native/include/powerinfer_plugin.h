/*
 * powerinfer_plugin.h: the contract of native plugins, libraries that bring predictor kernels or a whole device. Valid C11 and C++17.
 *
 * A plugin is a shared library that exports one symbol, `powerinfer_plugin_entry`, which returns a table; everything else is reached through it.
 * Nothing but C crosses: no exception, no abort, no C++ or Rust type. A plugin links with nothing of the engine.
 *
 * - Versions. `abi_major` must equal the host's. Within a major, tables and call structs only grow at their end; each begins with `struct_size`,
 *   set to sizeof by whoever wrote it. A field exists if it lies inside struct_size and is not NULL: POWERINFER_HAS(table, field).
 *   powerinfer_option, powerinfer_array and powerinfer_row stand in arrays and never grow. Fields called `reserved` are 0.
 * - Failures. A function returns POWERINFER_OK or a negative status and explains the latter in `last_error`; results leave through out-pointers.
 *   The host reports POWERINFER_PLUGIN_FAILED (of POWERINFER_OUT_OF_MEMORY, that) with the plugin's name, the function's and those words.
 * - Memory. Pointers of a call are borrowed until it returns, unless a longer life is stated. Who opens closes; every state is closed once.
 * - Threads. Calls on one state come one at a time, but not always from the same thread; different states may be called at once. Tables and the
 *   texts in them are constant for the life of the process: libraries are never unmapped, because their threads may still be inside.
 * - Re-entry. A plugin does not call the host back but through the function pointers it is handed, and those only until the call returns.
 */
#ifndef POWERINFER_PLUGIN_H
#define POWERINFER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "powerinfer.h"

#if defined(_WIN32)
#define POWERINFER_PLUGIN_EXPORT __declspec(dllexport)
#else
#define POWERINFER_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define POWERINFER_PLUGIN_ABI_MAJOR 1u /* another: the two cannot work together */
#define POWERINFER_PLUGIN_ABI_MINOR 2u /* higher: fields and functions were appended */

/* Whether a struct of another version has a field, and it is set. */
#define POWERINFER_HAS(table, field) \
  ((size_t)((const char*)(&(table)->field + 1) - (const char*)(table)) <= (table)->struct_size && (table)->field)

/* ---- what a plugin object is opened with ------------------------------------------------------------------------- */

/* A setting that the user made, under the name that the plugin's documentation gives it. */
typedef struct powerinfer_option {
  const char* name;
  uint32_t kind; /* POWERINFER_OPTION_x */
  uint32_t reserved;
  double number;    /* NUMBER; BOOLEAN: 0 or 1 */
  const char* text; /* TEXT, NUL-terminated UTF-8; else "" */
} powerinfer_option;

/* Bytes that the plugin's other half prepared, weights of a predictor say. What they mean is between the two. */
typedef struct powerinfer_array {
  const char* name;
  const void* data; /* on a boundary of 64 bytes */
  double size_bytes;
} powerinfer_array;

/* All of it lives, unchanged, until the state that was opened with it is closed: nothing needs copying. */
typedef struct powerinfer_plugin_context {
  uint32_t struct_size;
  uint32_t row_count_max; /* most rows of one call */
  const powerinfer_model_shape* shape;
  const powerinfer_option* options;
  const powerinfer_array* arrays;
  uint32_t option_count;
  uint32_t array_count;
} powerinfer_plugin_context;

static inline const powerinfer_option* powerinfer_option_named(const powerinfer_plugin_context* context, const char* name) {
  for (uint32_t i = 0; i < context->option_count; ++i) {
    if (strcmp(context->options[i].name, name) == 0) return &context->options[i];
  }
  return NULL;
}

/* A number or a boolean (0 or 1); `fallback` if there is none of that name. */
static inline double powerinfer_option_number(const powerinfer_plugin_context* context, const char* name, double fallback) {
  const powerinfer_option* const option = powerinfer_option_named(context, name);
  return option != NULL && option->kind != POWERINFER_OPTION_TEXT ? option->number : fallback;
}

static inline const char* powerinfer_option_text(const powerinfer_plugin_context* context, const char* name, const char* fallback) {
  const powerinfer_option* const option = powerinfer_option_named(context, name);
  return option != NULL && option->kind == POWERINFER_OPTION_TEXT ? option->text : fallback;
}

/* NULL if there is none of that name. */
static inline const powerinfer_array* powerinfer_array_named(const powerinfer_plugin_context* context, const char* name) {
  for (uint32_t i = 0; i < context->array_count; ++i) {
    if (strcmp(context->arrays[i].name, name) == 0) return &context->arrays[i];
  }
  return NULL;
}

/* ---- predictors: which neurons are worth computing --------------------------------------------------------------- */

/* One chunk of a parallel loop; `thread` is below thread_count, and no two chunks run on one thread at once. */
typedef void (*powerinfer_task)(void* context, uint32_t chunk, uint32_t thread);

typedef struct powerinfer_select {
  uint32_t struct_size;
  uint32_t block;     /* < block_count */
  uint32_t row_count; /* 1 to row_count_max */
  uint32_t hidden_width;
  uint32_t ffn_width;
  uint32_t words_per_row; /* ceil(ffn_width / 32) */
  const float* hidden;    /* f32[row_count, hidden_width], the normalized input of the block's FFN */
  uint32_t* active;       /* u32[row_count, words_per_row], arrives zero: bit n % 32 of word n / 32 names neuron n; those at ffn_width and above stay 0 */
  void* host;             /* for parallel_for */
  /*
   * Runs task(context, chunk, thread) for every chunk below chunk_count and returns when the last is done: on the threads of the device that
   * asks, or one after another in the caller where it has none. Starting threads of one's own instead takes cores away from the engine.
   */
  void (*parallel_for)(void* host, uint32_t chunk_count, powerinfer_task task, void* context);
  uint32_t thread_count; /* 1 to 1024 */
  uint32_t reserved;
  /* Since 1.1. f32[row_count, hidden_width], what `hidden` was before its norm: the residual after attention; of a parallel block, the block's input. NULL where nobody knows it. */
  const float* residual;
} powerinfer_select;

/* A CUDA device that predictors are to run on. Its context is current in the calling thread. */
typedef struct powerinfer_cuda {
  uint32_t struct_size;
  uint32_t ordinal; /* as cudaSetDevice counts */
  void* stream;     /* cudaStream_t */
} powerinfer_cuda;

/* powerinfer_select on a CUDA device: `hidden` and `active` point to its memory, and `active` was zeroed on `stream`. */
typedef struct powerinfer_select_cuda {
  uint32_t struct_size;
  uint32_t block;
  uint32_t row_count;
  uint32_t hidden_width;
  uint32_t ffn_width;
  uint32_t words_per_row;
  const float* hidden;
  uint32_t* active;
  void* stream; /* cudaStream_t of the open_cuda call */
} powerinfer_select_cuda;

/* `open`, `close` and at least one select are required. */
typedef struct powerinfer_predictor_kernels {
  uint32_t struct_size;
  uint32_t flags; /* POWERINFER_PREDICTOR_x */
  /* Checks options and arrays against the shape, once, so that select need not. `*state` is the plugin's and may stay NULL. A failure leaves nothing to close. */
  powerinfer_status (*open)(const powerinfer_plugin_context* context, void** state);
  /* Frees the state, what open_cuda made for it included. No call runs on it, but what select_cuda enqueued may: wait for that. */
  void (*close)(void* state);
  /* Names the candidates of every row in `active`. A row's set must not depend on the other rows. Called for every block of every batch: allocates nothing. */
  powerinfer_status (*select_cpu)(void* state, const powerinfer_select* call);
  /* Optional, both or none. Prepares a CUDA device, once for each that is to select; copies what select_cuda reads. May synchronize. */
  powerinfer_status (*open_cuda)(void* state, const powerinfer_cuda* cuda, void** cuda_state);
  /* Enqueues the selection on `stream` and returns: it neither synchronizes nor allocates, nor uses another stream. `active` is read by what follows there. */
  powerinfer_status (*select_cuda)(void* state, void* cuda_state, const powerinfer_select_cuda* call);
} powerinfer_predictor_kernels;

/* ---- backends: a whole device ------------------------------------------------------------------------------------ */

/* What a device is opened with, beside options and arrays; lives as long as they do. */
typedef struct powerinfer_device_context {
  uint32_t struct_size;
  uint32_t home; /* 1: runs attention and the KV caches of every block; 0: only its share of the FFNs */
  const powerinfer_plugin_context* plugin;
  const uint32_t* shares; /* u32[block_count, ceil(ffn_width / 32)], the neurons of each block that the device is asked for; NULL: all of them */
} powerinfer_device_context;

typedef struct powerinfer_tensor {
  uint32_t struct_size;
  uint32_t role;  /* POWERINFER_TOKEN_EMBEDDING and the like, never ROPE_FREQUENCIES or DOWN_REPACKED */
  uint32_t block; /* of roles from 16 on */
  uint32_t type;  /* GGUF's number */
  uint32_t width; /* the shape is the role's, and size_bytes the type's: the host checked both */
  uint32_t rows;
  const void* data; /* not aligned; a file's mapping, which lives until the device closes, so that what is read in place need not be copied */
  double size_bytes;
} powerinfer_tensor;

/* A predictor that the device is to run by itself, where the hidden vector is. */
typedef struct powerinfer_selector {
  uint32_t struct_size;
  uint32_t predictor; /* its handle, of no other predictor ever: what tells whether open_cuda was called for it */
  const powerinfer_predictor_kernels* kernels;
  void* state;
  /* Since 1.2, for devices with kernels of their own for a predictor that is known by name: powerinfer_plugin's name, and what it was opened with. */
  const char* name;
  const powerinfer_plugin_context* context;
} powerinfer_selector;

/* Arguments of powerinfer_ffn, checked. */
typedef struct powerinfer_ffn_call {
  uint32_t struct_size;
  uint32_t block;
  uint32_t row_count;
  uint32_t flags;         /* POWERINFER_FFN_x */
  const float* hidden;    /* NULL: what attend left in the device */
  const uint32_t* active; /* neurons of the share only; NULL: all of the share, or those that `selector` names */
  float* partial;         /* NULL: keep it for merge */
  const powerinfer_selector* selector; /* NULL but for backends with POWERINFER_BACKEND_SELECTS: run select on `hidden` before returning, drop what is outside the share and from ffn_width on */
} powerinfer_ffn_call;

/*
 * A device, its calls in the order a model makes them; embed, attend, activations, ffn, merge, logits and counters mean what the functions of
 * powerinfer.h of that name say, and their arguments were checked as it says. Required: open, close, bind, ready, ffn; of a home also
 * cache_open, cache_close, embed, attend, merge, logits, and rope where the model rotates. What is missing is POWERINFER_UNSUPPORTED when it is called.
 */
typedef struct powerinfer_backend_kernels {
  uint32_t struct_size;
  uint32_t flags; /* POWERINFER_BACKEND_x */
  /* What a placement wants to know before any device is opened: fills what lies inside the struct_size it finds. */
  powerinfer_status (*facts)(powerinfer_backend_facts* facts);
  /* `open`, then `bind` for every tensor, `rope`, `ready`; if one fails after open, `close` follows. A failed open leaves nothing to close. */
  powerinfer_status (*open)(const powerinfer_device_context* context, void** state);
  void (*close)(void* state); /* with all caches that are still open */
  powerinfer_status (*bind)(void* state, const powerinfer_tensor* tensor);
  powerinfer_status (*rope)(void* state, const float* inverse_frequencies, uint32_t count);
  powerinfer_status (*ready)(void* state);
  /* `*cache` is the plugin's number for it: not 0, and of no other open cache of this device. Rows name it. */
  powerinfer_status (*cache_open)(void* state, uint32_t position_count, uint32_t cache_type, uint32_t* cache);
  void (*cache_close)(void* state, uint32_t cache);
  powerinfer_status (*embed)(void* state, const powerinfer_row* rows, uint32_t row_count);
  powerinfer_status (*attend)(void* state, uint32_t block, float* hidden);
  powerinfer_status (*activations)(void* state, uint32_t block, const float* hidden, uint32_t row_count, float* activations);
  powerinfer_status (*ffn)(void* state, const powerinfer_ffn_call* call);
  /* Optional: returns when the ffn that began with POWERINFER_FFN_START is done. Without it no call has that flag. */
  powerinfer_status (*ffn_wait)(void* state);
  powerinfer_status (*merge)(void* state, uint32_t block, const float* partial);
  powerinfer_status (*logits)(void* state, const uint32_t* rows, uint32_t count, float* logits);
  powerinfer_status (*counters)(void* state, powerinfer_counters* counters); /* optional: without it they read 0 */
  /* Since 1.2, all optional; `hidden` and `selected` of backends with POWERINFER_BACKEND_HANDS_OVER. */
  /* Makes ready what `selector` needs here, before the first call with it. UNSUPPORTED: it cannot run here. Without it, every selector can. */
  powerinfer_status (*prepare)(void* state, const powerinfer_selector* selector);
  /* Copies what attend left to `hidden` f32[row_count, hidden_width], waiting for no more than that. Without it, attend is always given `hidden`. */
  powerinfer_status (*hidden)(void* state, float* hidden);
  /* Copies what the selector of the last ffn named, the neurons outside the share too, to `active` u32[row_count, words]; waits for no more than that. */
  powerinfer_status (*selected)(void* state, uint32_t* active);
  /* Of a plugin with several devices, instead of `facts`: INVALID_ARGUMENT from their number on. */
  powerinfer_status (*facts_at)(uint32_t index, powerinfer_backend_facts* facts);
  /* Measures device `index` without opening it for a model: fills what lies inside the struct_size it finds. INVALID_ARGUMENT as facts_at. */
  powerinfer_status (*measure_at)(uint32_t index, powerinfer_backend_speed* speed);
} powerinfer_backend_kernels;

/* ---- the entry --------------------------------------------------------------------------------------------------- */

/* struct_size, abi_major and abi_minor keep their places in every major, so that any two can tell each other apart. */
typedef struct powerinfer_plugin {
  uint32_t struct_size;
  uint32_t abi_major; /* POWERINFER_PLUGIN_ABI_MAJOR and _MINOR of the header it was compiled with */
  uint32_t abi_minor;
  uint32_t reserved;
  const char* name;    /* 1 to 64 bytes of UTF-8: what error messages call the plugin */
  const char* version; /* the same, or NULL */
  /* Why this thread's last call failed, NUL-terminated UTF-8, valid until its next call; NULL or "" if there is nothing to say. */
  const char* (*last_error)(void);
  const powerinfer_predictor_kernels* predictor; /* NULL: brings none */
  const powerinfer_backend_kernels* backend;
} powerinfer_plugin;

/*
 * What a plugin defines. Return the table whatever the host's version is, and let the host compare: it can say who is to be updated. NULL means
 * that the plugin cannot work here at all.
 */
POWERINFER_PLUGIN_EXPORT const powerinfer_plugin* powerinfer_plugin_entry(uint32_t host_abi_major, uint32_t host_abi_minor);

#ifdef __cplusplus
}
#endif

#endif
