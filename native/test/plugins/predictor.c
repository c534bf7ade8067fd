/*
 * A predictor plugin for tests, in C: names neuron n of a row where hidden[n % hidden_width] > the option `threshold`.
 *
 * Options make it misbehave: `open_fails` (its text is the reason), `failing_block`, `names_beyond`. `parallel` spreads the words of all rows over the
 * device's threads. The array `mask` u32[words_per_row] takes neurons away. How the library itself is wrong is chosen by defines: TABLE_BYTES,
 * KERNELS_BYTES, ABI_MAJOR, NAME, REFUSES, NEWER_MINOR, SILENT, CUDA_ONLY, BRINGS_NOTHING; NO_ENTRY hides the symbol.
 */
#include <stdlib.h>

#include "../../include/powerinfer_plugin.h"

#ifndef TABLE_BYTES
#define TABLE_BYTES sizeof(powerinfer_plugin)
#endif
#ifndef KERNELS_BYTES
#define KERNELS_BYTES sizeof(powerinfer_predictor_kernels)
#endif
#ifndef ABI_MAJOR
#define ABI_MAJOR POWERINFER_PLUGIN_ABI_MAJOR
#endif
#ifndef NAME
#define NAME "threshold"
#endif

typedef struct state {
  float threshold;
  double failing_block;
  uint32_t names_beyond;
  uint32_t parallel;
  const uint32_t* mask;
} state;

static _Thread_local const char* why = "";

static const char* last_error(void) { return why; }

static powerinfer_status refuse(const char* reason) {
  why = reason;
  return POWERINFER_UNSUPPORTED;
}

static powerinfer_status open_state(const powerinfer_plugin_context* context, void** out) {
  const char* const fails = powerinfer_option_text(context, "open_fails", NULL);
  const powerinfer_array* const mask = powerinfer_array_named(context, "mask");
  const uint32_t words_per_row = (context->shape->ffn_width + 31) / 32;
  if (fails != NULL) return refuse(fails);
  if (mask != NULL && mask->size_bytes != words_per_row * 4.0) return refuse("mask is not one row of words");
  if (mask != NULL && (uintptr_t)mask->data % 64 != 0) return refuse("mask is not on a boundary of 64 bytes");
  if (context->row_count_max != context->shape->row_count_max) return refuse("row_count_max is said twice");
  state* const s = malloc(sizeof *s);
  if (s == NULL) return POWERINFER_OUT_OF_MEMORY;
  s->threshold = (float)powerinfer_option_number(context, "threshold", 0);
  s->failing_block = powerinfer_option_number(context, "failing_block", -1);
  s->names_beyond = powerinfer_option_number(context, "names_beyond", 0) != 0;
  s->parallel = powerinfer_option_number(context, "parallel", 0) != 0;
  s->mask = mask == NULL ? NULL : mask->data;
  *out = s;
  return POWERINFER_OK;
}

static void close_state(void* given) { free(given); }

typedef struct loop {
  const state* s;
  const powerinfer_select* call;
} loop;

/* A chunk is one word of one row. */
static void select_word(void* context, uint32_t chunk, uint32_t thread) {
  const loop* const l = context;
  const powerinfer_select* const call = l->call;
  const uint32_t row = chunk / call->words_per_row, word = chunk % call->words_per_row;
  const float* const x = call->hidden + (uint64_t)row * call->hidden_width;
  uint32_t bits = 0;
  if (thread >= call->thread_count) return;
  for (uint32_t bit = 0; bit < 32 && word * 32 + bit < call->ffn_width; ++bit) {
    bits |= (uint32_t)(x[(word * 32 + bit) % call->hidden_width] > l->s->threshold) << bit;
  }
  call->active[chunk] |= l->s->mask == NULL ? bits : bits & l->s->mask[word];
}

static powerinfer_status select_cpu(void* given, const powerinfer_select* call) {
  const state* const s = given;
  loop l = {s, call};
  const uint32_t chunk_count = call->row_count * call->words_per_row;
  if (call->block == s->failing_block) return refuse("this block is cursed");
  if (s->parallel) {
    call->parallel_for(call->host, chunk_count, select_word, &l);
  } else {
    for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) select_word(&l, chunk, 0);
  }
  if (s->names_beyond) call->active[chunk_count - 1] |= 1u << 31;
  return POWERINFER_OK;
}

static powerinfer_status open_cuda(void* given, const powerinfer_cuda* cuda, void** cuda_state) {
  (void)given, (void)cuda, (void)cuda_state;
  return POWERINFER_OK;
}

static powerinfer_status select_cuda(void* given, void* cuda_state, const powerinfer_select_cuda* call) {
  (void)given, (void)cuda_state, (void)call;
  return POWERINFER_OK;
}

static const powerinfer_predictor_kernels kernels = {
    .struct_size = KERNELS_BYTES,
    .flags = POWERINFER_PREDICTOR_CONFIRMS,
    .open = open_state,
    .close = close_state,
#if defined(CUDA_ONLY)
    .open_cuda = open_cuda,
    .select_cuda = select_cuda,
#else
    .select_cpu = select_cpu,
#endif
};

typedef struct newer_plugin {
  powerinfer_plugin known;
  void* appended;
} newer_plugin;

static const newer_plugin table = {
    .known =
        {
#if defined(NEWER_MINOR)
            .struct_size = sizeof(newer_plugin),
            .abi_minor = POWERINFER_PLUGIN_ABI_MINOR + 1,
#else
            .struct_size = TABLE_BYTES,
            .abi_minor = POWERINFER_PLUGIN_ABI_MINOR,
#endif
            .abi_major = ABI_MAJOR,
            .name = NAME,
            .version = "3.1.4",
#if !defined(SILENT)
            .last_error = last_error,
#endif
#if !defined(BRINGS_NOTHING)
            .predictor = &kernels,
#endif
        },
    .appended = NULL,
};

#if defined(NO_ENTRY)
const powerinfer_plugin* another_entry(void);
const powerinfer_plugin* another_entry(void) { return &table.known; }
#else
const powerinfer_plugin* powerinfer_plugin_entry(uint32_t host_abi_major, uint32_t host_abi_minor) {
  (void)host_abi_minor;
#if defined(REFUSES)
  return NULL;
#endif
  return host_abi_major == 0 ? NULL : &table.known;
}
#endif

/* Not all of it is used by every variant. */
void powerinfer_test_plugin_parts(void);
void powerinfer_test_plugin_parts(void) { (void)last_error, (void)select_cpu, (void)open_cuda, (void)select_cuda, (void)kernels; }
