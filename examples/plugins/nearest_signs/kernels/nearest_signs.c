/*
 * Which share of a block's neurons has most signs in common with the hidden vector?
 *
 * Two steps a row: in how many places each neuron differs (bound by memory: a bit a weight, read once for all rows of a batch), then the k smallest
 * of these numbers by counting, because there are only hidden_width + 1 of them. Of equals the lowest neurons win.
 */
#include <math.h>
#include <powerinfer_plugin.h>
#include <stdlib.h>

/* Neurons of one chunk of the parallel loop: some 16 KiB of signs at a hidden width of 4096. */
enum { CHUNK = 32 };

typedef struct state {
  const uint32_t* signs;  /* u32[block_count, ffn_width, word_count], the host's until close */
  uint32_t* hidden_signs; /* u32[row_count_max, word_count] */
  uint32_t* differing;    /* u32[row_count_max, ffn_width] */
  uint32_t* histogram;    /* u32[hidden_width + 1] */
  uint32_t word_count;
  uint32_t named_count; /* neurons to name in every row, 1 to ffn_width */
} state;

static _Thread_local const char* why = "";

static const char* last_error(void) { return why; }

static powerinfer_status refuse(powerinfer_status status, const char* reason) {
  why = reason;
  return status;
}

static void close_state(void* given) {
  state* const s = given;
  free(s->hidden_signs);
  free(s->differing);
  free(s->histogram);
  free(s);
}

static powerinfer_status open_state(const powerinfer_plugin_context* context, void** out) {
  const powerinfer_model_shape* const shape = context->shape;
  const powerinfer_array* const signs = powerinfer_array_named(context, "signs");
  const uint32_t word_count = (shape->hidden_width + 31) / 32;
  const size_t rows = context->row_count_max;
  if (signs == NULL || signs->size_bytes != 4.0 * shape->block_count * shape->ffn_width * word_count) {
    return refuse(POWERINFER_INVALID_ARGUMENT, "signs is missing, or not u32[block_count, ffn_width, ceil(hidden_width / 32)]");
  }
  const double share = powerinfer_option_number(context, "share", 0);
  if (!(share > 0 && share <= 1)) return refuse(POWERINFER_INVALID_ARGUMENT, "share is not above 0 and at most 1");

  state* const s = calloc(1, sizeof *s);
  if (s == NULL) return refuse(POWERINFER_OUT_OF_MEMORY, "there is no memory for its state");
  s->signs = signs->data;
  s->word_count = word_count;
  s->named_count = (uint32_t)ceil(share * shape->ffn_width);
  s->hidden_signs = malloc(sizeof(uint32_t) * rows * word_count);
  s->differing = malloc(sizeof(uint32_t) * rows * shape->ffn_width);
  s->histogram = malloc(sizeof(uint32_t) * (shape->hidden_width + 1));
  if (s->hidden_signs == NULL || s->differing == NULL || s->histogram == NULL) {
    close_state(s);
    return refuse(POWERINFER_OUT_OF_MEMORY, "there is no memory for the signs of a batch");
  }
  *out = s;
  return POWERINFER_OK;
}

static void write_signs(const float* values, uint32_t width, uint32_t* words) {
  for (uint32_t word = 0; word * 32 < width; ++word) {
    const uint32_t count = width - word * 32 < 32 ? width - word * 32 : 32;
    uint32_t bits = 0;
    for (uint32_t bit = 0; bit < count; ++bit) bits |= (uint32_t)(values[word * 32 + bit] > 0) << bit;
    words[word] = bits;
  }
}

typedef struct loop {
  const state* s;
  const powerinfer_select* call;
} loop;

static void count_differing(void* context, uint32_t chunk, uint32_t thread) {
  const loop* const l = context;
  const state* const s = l->s;
  const powerinfer_select* const call = l->call;
  const uint32_t first = chunk * CHUNK;
  const uint32_t end = call->ffn_width - first < CHUNK ? call->ffn_width : first + CHUNK;
  (void)thread;
  for (uint32_t neuron = first; neuron < end; ++neuron) {
    const uint32_t* const signs = s->signs + ((uint64_t)call->block * call->ffn_width + neuron) * s->word_count;
    for (uint32_t row = 0; row < call->row_count; ++row) {
      const uint32_t* const hidden_signs = s->hidden_signs + (uint64_t)row * s->word_count;
      uint32_t differing = 0;
      for (uint32_t i = 0; i < s->word_count; ++i) differing += (uint32_t)__builtin_popcount(signs[i] ^ hidden_signs[i]);
      s->differing[(uint64_t)row * call->ffn_width + neuron] = differing;
    }
  }
}

/* Names the `named_count` neurons of a row that differ least. */
static void name_nearest(const state* s, const powerinfer_select* call, uint32_t row) {
  const uint32_t* const differing = s->differing + (uint64_t)row * call->ffn_width;
  uint32_t* const active = call->active + (uint64_t)row * call->words_per_row;
  memset(s->histogram, 0, sizeof(uint32_t) * (call->hidden_width + 1));
  for (uint32_t neuron = 0; neuron < call->ffn_width; ++neuron) ++s->histogram[differing[neuron]];
  uint32_t limit = 0, left = s->named_count;
  while (left > s->histogram[limit]) left -= s->histogram[limit++];
  for (uint32_t neuron = 0; neuron < call->ffn_width; ++neuron) {
    const uint32_t is_equal = differing[neuron] == limit && left > 0;
    left -= is_equal;
    if (differing[neuron] < limit || is_equal) active[neuron / 32] |= 1u << neuron % 32;
  }
}

static powerinfer_status select_cpu(void* given, const powerinfer_select* call) {
  state* const s = given;
  for (uint32_t row = 0; row < call->row_count; ++row) {
    write_signs(call->hidden + (uint64_t)row * call->hidden_width, call->hidden_width, s->hidden_signs + (uint64_t)row * s->word_count);
  }
  loop l = {s, call};
  call->parallel_for(call->host, (call->ffn_width + CHUNK - 1) / CHUNK, count_differing, &l);
  for (uint32_t row = 0; row < call->row_count; ++row) name_nearest(s, call, row);
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
    .name = "nearest_signs",
    .version = "1.0.0",
    .last_error = last_error,
    .predictor = &kernels,
};

const powerinfer_plugin* powerinfer_plugin_entry(uint32_t host_abi_major, uint32_t host_abi_minor) {
  (void)host_abi_major, (void)host_abi_minor;
  return &plugin;
}
