/*
 * Which neurons have weights with the signs of the hidden vector in enough places? The native half of mod.ts, which prepares `signs`.
 *
 * The contract is powerinfer_plugin.h. `powerinfer plugin build` compiles this file for the machine it runs on.
 */
#include <powerinfer_plugin.h>
#include <stdlib.h>

typedef struct state {
  const uint32_t* signs;  /* u32[block_count, ffn_width, word_count], the host's until close */
  uint32_t* hidden_signs; /* u32[row_count_max, word_count] */
  uint32_t word_count;
  uint32_t differing_max;
} state;

static _Thread_local const char* why = "";

static const char* last_error(void) { return why; }

static powerinfer_status refuse(powerinfer_status status, const char* reason) {
  why = reason;
  return status;
}

static powerinfer_status open_state(const powerinfer_plugin_context* context, void** out) {
  const powerinfer_model_shape* const shape = context->shape;
  const powerinfer_array* const signs = powerinfer_array_named(context, "signs");
  const uint32_t word_count = (shape->hidden_width + 31) / 32;
  const double wanted_bytes = 4.0 * shape->block_count * shape->ffn_width * word_count;
  if (signs == NULL || signs->size_bytes != wanted_bytes) {
    return refuse(POWERINFER_INVALID_ARGUMENT, "signs is missing, or not u32[block_count, ffn_width, ceil(hidden_width / 32)]");
  }
  const double agreement = powerinfer_option_number(context, "agreement", 0.5);
  if (!(agreement >= 0 && agreement <= 1)) return refuse(POWERINFER_INVALID_ARGUMENT, "agreement is not between 0 and 1");
  state* const s = malloc(sizeof *s);
  uint32_t* const hidden_signs = malloc(sizeof(uint32_t) * context->row_count_max * word_count);
  if (s == NULL || hidden_signs == NULL) {
    free(s);
    free(hidden_signs);
    return refuse(POWERINFER_OUT_OF_MEMORY, "there is no memory for the signs of a batch");
  }
  *s = (state){signs->data, hidden_signs, word_count, (uint32_t)((1 - agreement) * shape->hidden_width)};
  *out = s;
  return POWERINFER_OK;
}

static void close_state(void* given) {
  state* const s = given;
  free(s->hidden_signs);
  free(s);
}

static void write_signs(const float* values, uint32_t width, uint32_t* words) {
  for (uint32_t word = 0; word * 32 < width; ++word) {
    const uint32_t count = width - word * 32 < 32 ? width - word * 32 : 32;
    uint32_t bits = 0;
    for (uint32_t bit = 0; bit < count; ++bit) bits |= (uint32_t)(values[word * 32 + bit] > 0) << bit;
    words[word] = bits;
  }
}

static uint32_t differing_bits(const uint32_t* a, const uint32_t* b, uint32_t count) {
  uint32_t differing = 0;
  for (uint32_t i = 0; i < count; ++i) differing += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
  return differing;
}

typedef struct loop {
  const state* s;
  const powerinfer_select* call;
} loop;

/* A chunk is 32 neurons, one word of every row's set: no two chunks write the same word, and weights are read once for all rows. */
static void select_word(void* context, uint32_t chunk, uint32_t thread) {
  const loop* const l = context;
  const state* const s = l->s;
  const powerinfer_select* const call = l->call;
  const uint32_t first = chunk * 32;
  const uint32_t count = call->ffn_width - first < 32 ? call->ffn_width - first : 32;
  const uint32_t* const signs = s->signs + ((uint64_t)call->block * call->ffn_width + first) * s->word_count;
  (void)thread;
  for (uint32_t row = 0; row < call->row_count; ++row) {
    const uint32_t* const hidden_signs = s->hidden_signs + (uint64_t)row * s->word_count;
    uint32_t named = 0;
    for (uint32_t bit = 0; bit < count; ++bit) {
      const uint32_t differing = differing_bits(signs + (uint64_t)bit * s->word_count, hidden_signs, s->word_count);
      named |= (uint32_t)(differing <= s->differing_max) << bit;
    }
    call->active[(uint64_t)row * call->words_per_row + chunk] = named;
  }
}

static powerinfer_status select_cpu(void* given, const powerinfer_select* call) {
  state* const s = given;
  for (uint32_t row = 0; row < call->row_count; ++row) {
    write_signs(call->hidden + (uint64_t)row * call->hidden_width, call->hidden_width, s->hidden_signs + (uint64_t)row * s->word_count);
  }
  loop l = {s, call};
  call->parallel_for(call->host, call->words_per_row, select_word, &l);
  return POWERINFER_OK;
}

static const powerinfer_predictor_kernels kernels = {
    .struct_size = sizeof(powerinfer_predictor_kernels),
    .flags = POWERINFER_PREDICTOR_CONFIRMS,
    .open = open_state,
    .close = close_state,
    .select_cpu = select_cpu,
};

static const powerinfer_plugin plugin = {
    .struct_size = sizeof(powerinfer_plugin),
    .abi_major = POWERINFER_PLUGIN_ABI_MAJOR,
    .abi_minor = POWERINFER_PLUGIN_ABI_MINOR,
    .name = "plugin_name",
    .version = "0.1.0",
    .last_error = last_error,
    .predictor = &kernels,
};

const powerinfer_plugin* powerinfer_plugin_entry(uint32_t host_abi_major, uint32_t host_abi_minor) {
  (void)host_abi_major, (void)host_abi_minor;
  return &plugin;
}
