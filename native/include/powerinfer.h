/*
 * powerinfer.h: the contract of libpowerinfer, the native half of the engine. Valid C11 and C++17.
 *
 * - Handles are u32, never 0, and belong to the process. Who opens closes; closing twice is POWERINFER_INVALID_HANDLE.
 * - Every call returns a status; results leave through out-pointers, which are untouched on failure.
 * - `powerinfer_last_error` explains this thread's last failed call: action first, then state.
 * - Nothing aborts or throws across this boundary. Buffers are borrowed for the duration of the call.
 * - Byte counts and file offsets are f64, exact below 2^53: bindings of dynamic languages pass a double for nothing and a 64-bit integer dearly.
 * - A model and its caches are used by one thread at a time; different models may be used at once.
 */
#ifndef POWERINFER_H
#define POWERINFER_H

#include <stdint.h>

#if defined(_WIN32)
#define POWERINFER_API __declspec(dllexport)
#else
#define POWERINFER_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* 2: plugins. Only functions were added, but who binds to those by name must be able to tell that an older library lacks them. */
#define POWERINFER_ABI_VERSION 4u

typedef int32_t powerinfer_status;
enum {
  POWERINFER_OK = 0,
  POWERINFER_INVALID_ARGUMENT = -1, /* the caller broke a rule stated here */
  POWERINFER_INVALID_HANDLE = -2,   /* never opened, or closed */
  POWERINFER_FILE_ERROR = -3,       /* the operating system refused; last_error carries its words */
  POWERINFER_OUT_OF_MEMORY = -4,
  POWERINFER_UNSUPPORTED = -5, /* this CPU or this build cannot do it */
  POWERINFER_INCOMPLETE = -6,  /* a model was used before every tensor it needs was bound; a predictor or a device, before it was opened */
  POWERINFER_PLUGIN_FAILED = -7 /* a plugin's function failed or broke its contract; last_error names both and carries its words */
};

/* Instruction sets. AUTO takes the best this CPU has. */
enum {
  POWERINFER_ISA_AUTO = 0,
  POWERINFER_ISA_SCALAR = 1,
  POWERINFER_ISA_AVX2 = 2,       /* AVX2, FMA, F16C: x86 since 2013 */
  POWERINFER_ISA_AVX512 = 3,     /* AVX-512 F, BW, VL, DQ: since 2017 */
  POWERINFER_ISA_AVX512_VNNI = 4 /* and VNNI: since 2019 */
};

POWERINFER_API uint32_t powerinfer_abi_version(void);

/* Copies this thread's last error text, UTF-8, not NUL-terminated; returns the bytes written (at most `capacity`). */
POWERINFER_API uint32_t powerinfer_last_error(char* text, uint32_t capacity);

/* ---- the machine ------------------------------------------------------------------------------------------------ */

typedef struct powerinfer_machine {
  uint32_t struct_size; /* set by the caller: sizeof(powerinfer_machine) */
  uint32_t isa_mask;    /* bit (1 << POWERINFER_ISA_x) for each instruction set this CPU runs */
  uint32_t core_count;  /* cores this process may use (affinity and cgroup quota respected) */
  uint32_t reserved;
  double memory_bytes;           /* physical memory, or the cgroup's limit where that is lower */
  double memory_available_bytes; /* what could be allocated now without swapping, page cache counted as free */
} powerinfer_machine;

POWERINFER_API powerinfer_status powerinfer_machine_read(powerinfer_machine* machine);

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* Maps a file read-only. `path` is UTF-8, `path_length` bytes. FILE_ERROR if it cannot be opened or mapped (a directory, empty, missing). */
POWERINFER_API powerinfer_status powerinfer_file_open(const char* path, uint32_t path_length, uint32_t* file);
POWERINFER_API powerinfer_status powerinfer_file_size(uint32_t file, double* size_bytes);
/* Models bound to the file keep its mapping alive until they close. */
POWERINFER_API powerinfer_status powerinfer_file_close(uint32_t file);

/* ---- quantized blocks: the scalar definitions ------------------------------------------------------------------- */

/*
 * Decodes `count` weights of GGUF type `type` (its number in the file format) from `blocks` to `weights` f32[count].
 * INVALID_ARGUMENT if count is not a multiple of the type's block size or block_bytes does not match; UNSUPPORTED for an unknown type.
 */
POWERINFER_API powerinfer_status powerinfer_dequantize(uint32_t type, const void* blocks, uint32_t block_bytes, float* weights, uint32_t count);

/* ---- a CPU: worker threads and an instruction set ---------------------------------------------------------------- */

/* thread_count counts the caller, which works too: 1 starts no thread; 0 means core_count. UNSUPPORTED if this CPU lacks `isa`. */
POWERINFER_API powerinfer_status powerinfer_cpu_open(uint32_t thread_count, uint32_t isa, uint32_t* cpu);
POWERINFER_API powerinfer_status powerinfer_cpu_describe(uint32_t cpu, uint32_t* thread_count, uint32_t* isa);
/* Bytes per second that all threads together read from a buffer of size_bytes (allocated here, 2^20 or more, larger than the caches): the best of `repetitions`. */
POWERINFER_API powerinfer_status powerinfer_cpu_measure_bandwidth(uint32_t cpu, double size_bytes, uint32_t repetitions, double* bytes_per_s);
/* The same of a file's mapping, which must be at least as large: weights are read from there, and mapped memory can be slower than a buffer. */
POWERINFER_API powerinfer_status powerinfer_cpu_measure_file_bandwidth(uint32_t cpu, uint32_t file, uint32_t repetitions, double* bytes_per_s);
/* INVALID_ARGUMENT while models are open on it. */
POWERINFER_API powerinfer_status powerinfer_cpu_close(uint32_t cpu);

/* ---- a model: shape, tensors, workspace -------------------------------------------------------------------------- */

enum { POWERINFER_NORM_RMS = 0, POWERINFER_NORM_LAYER = 1 };
enum {
  POWERINFER_ROPE_NONE = 0,
  POWERINFER_ROPE_INTERLEAVED = 1, /* pairs (2i, 2i+1): llama as GGUF stores it */
  POWERINFER_ROPE_HALVES = 2       /* pairs (i, i + width/2): "NEOX", Hugging Face's rotate_half */
};
enum {
  POWERINFER_ACTIVATION_IDENTITY = 0,
  POWERINFER_ACTIVATION_RELU = 1,
  POWERINFER_ACTIVATION_RELU_SQUARED = 2,
  POWERINFER_ACTIVATION_SILU = 3,
  POWERINFER_ACTIVATION_GELU = 4 /* exact: x/2 (1 + erf(x/√2)) */
};

typedef struct powerinfer_model_shape {
  uint32_t struct_size; /* sizeof(powerinfer_model_shape) */
  uint32_t block_count;
  uint32_t hidden_width;
  uint32_t ffn_width;
  uint32_t head_count;
  uint32_t kv_head_count; /* divides head_count */
  uint32_t head_width;    /* of q, k and v alike */
  uint32_t vocabulary_size;
  uint32_t norm;               /* POWERINFER_NORM_x, for every norm but those of q and k, which are RMS */
  float norm_epsilon;
  uint32_t rope;               /* POWERINFER_ROPE_x */
  uint32_t rope_width;         /* leading dimensions of a head that are rotated; even; 0 without rope */
  uint32_t parallel;           /* 1: attention and FFN both read the block's input (falcon) */
  uint32_t gated;              /* 1: down · (f(gate · x) ⊙ g(up · x)); 0: down · g(up · x) */
  uint32_t gate_activation;    /* f; IDENTITY when not gated */
  uint32_t up_activation;      /* g */
  uint32_t position_offset;    /* learned positions: row of position 0 in POSITION_EMBEDDING */
  uint32_t row_count_max;      /* rows of one batch: sizes the workspace */
} powerinfer_model_shape;

/*
 * What a tensor is for. Matrices are [width, rows] in GGUF's order: `rows` dot products of length `width`. Vectors have rows = 1
 * and are copied as f32 when bound; matrices are read in place.
 */
enum {
  POWERINFER_TOKEN_EMBEDDING = 0,    /* [hidden_width, vocabulary_size] */
  POWERINFER_POSITION_EMBEDDING = 1, /* [hidden_width, positions], optional: learned positions */
  POWERINFER_OUTPUT_NORM = 2,        /* [hidden_width] */
  POWERINFER_OUTPUT_NORM_BIAS = 3,   /* optional, as every _BIAS */
  POWERINFER_OUTPUT = 4,             /* [hidden_width, vocabulary_size]; a tied model binds the embedding again */
  POWERINFER_OUTPUT_BIAS = 5,
  POWERINFER_ROPE_FREQUENCIES = 6,   /* set by powerinfer_model_rope, not bound */
  /* one a block from here on */
  POWERINFER_ATTENTION_NORM = 16,
  POWERINFER_ATTENTION_NORM_BIAS = 17,
  POWERINFER_Q = 18, /* [hidden_width, head_count * head_width] */
  POWERINFER_Q_BIAS = 19,
  POWERINFER_K = 20, /* [hidden_width, kv_head_count * head_width] */
  POWERINFER_K_BIAS = 21,
  POWERINFER_V = 22,
  POWERINFER_V_BIAS = 23,
  POWERINFER_Q_NORM = 24, /* [head_width], optional: RMS norm of every head of q before rope (qwen3) */
  POWERINFER_K_NORM = 25,
  POWERINFER_ATTENTION_OUTPUT = 26, /* [head_count * head_width, hidden_width] */
  POWERINFER_ATTENTION_OUTPUT_BIAS = 27,
  POWERINFER_FFN_NORM = 28,
  POWERINFER_FFN_NORM_BIAS = 29,
  POWERINFER_GATE = 30, /* [hidden_width, ffn_width], gated models only: row = neuron */
  POWERINFER_UP = 31,   /* [hidden_width, ffn_width] */
  POWERINFER_UP_BIAS = 32,
  POWERINFER_DOWN = 33,           /* [ffn_width, hidden_width], as most files store it */
  POWERINFER_DOWN_BIAS = 34,      /* [hidden_width] */
  POWERINFER_DOWN_BY_NEURON = 35, /* [hidden_width, ffn_width]: row = neuron, in a GGUF type (`ffn_down_t`) */
  POWERINFER_DOWN_REPACKED = 36   /* [ffn_width, hidden_width]: written by powerinfer_repack_down from a DOWN of the same type */
};

POWERINFER_API powerinfer_status powerinfer_model_open(uint32_t cpu, const powerinfer_model_shape* shape, uint32_t* model);
/*
 * Binds a tensor to its bytes in a mapped file. `block` is ignored for roles below 16. The range must lie inside the file, shapes must
 * be those above (POSITION_EMBEDDING's rows are free), and the type one of powerinfer_dequantize's. Binding twice replaces.
 */
POWERINFER_API powerinfer_status powerinfer_model_bind(uint32_t model, uint32_t role, uint32_t block, uint32_t file, double offset_bytes, uint32_t type,
                                        uint32_t width, uint32_t rows);
enum {
  POWERINFER_RESIDENT_ROWS = 0,  /* as in the file: for matrices whose rows are read one by one */
  POWERINFER_RESIDENT_PANELS = 1 /* eight rows interleaved, where the type and the instruction set have that: for matrices that are read whole */
};
/*
 * Copies a bound matrix into memory of its own, using all threads; its pages of the mapping are given back. Memory is read faster than a
 * mapped file, and panels with less work. A matrix in panels keeps its mapping for whoever wants single rows. No result changes. A second call does nothing.
 */
POWERINFER_API powerinfer_status powerinfer_model_make_resident(uint32_t model, uint32_t role, uint32_t block, uint32_t layout);
/* Angles per position: f32[rope_width / 2], scaling of any kind already applied. Copied. */
POWERINFER_API powerinfer_status powerinfer_model_rope(uint32_t model, const float* inverse_frequencies, uint32_t count);
/*
 * What CONFIRM drops in this block besides zeros: neurons whose |f(gate · x)| is at or below `gate`, then those whose |activation| is at or below
 * `activation`. f32[ffn_width] each, copied; NULL: zeros only, as before the first call. At any time between batches.
 */
POWERINFER_API powerinfer_status powerinfer_model_thresholds(uint32_t model, uint32_t block, const float* gate, const float* activation);
/* Checks that nothing is missing (a block needs one of DOWN, DOWN_BY_NEURON, DOWN_REPACKED) and allocates the workspace. Required before a batch. */
POWERINFER_API powerinfer_status powerinfer_model_ready(uint32_t model);
POWERINFER_API powerinfer_status powerinfer_model_close(uint32_t model);

/* ---- `down` by neuron, without requantizing ---------------------------------------------------------------------- */

/*
 * A sparse FFN reads the part of `down` that belongs to one neuron: a column of the file's matrix. Types without blocks are transposed.
 * Block types keep their codes (one row a neuron) with the scales of each group of neurons beside them, so every weight keeps its exact value.
 */
POWERINFER_API powerinfer_status powerinfer_repack_down_size(uint32_t type, uint32_t hidden_width, uint32_t ffn_width, double* size_bytes);
/* Writes the repacked matrix of a DOWN tensor into an existing file at `to_offset_bytes`, using all threads of `cpu`. */
POWERINFER_API powerinfer_status powerinfer_repack_down(uint32_t cpu, uint32_t from_file, double from_offset_bytes, uint32_t type, uint32_t hidden_width,
                                         uint32_t ffn_width, const char* to_path, uint32_t to_path_length, double to_offset_bytes);

/* ---- KV caches --------------------------------------------------------------------------------------------------- */

enum {
  POWERINFER_CACHE_F16 = 0,
  POWERINFER_CACHE_F32 = 1,
  POWERINFER_CACHE_Q8_0 = 2 /* blocks of 32 along a head, as the tensor type; INVALID_ARGUMENT if head_width is not a multiple of 32 */
};
/* Room for `position_count` positions of every block. Positions are written by attend in any order; a row sees those at or before its own. */
POWERINFER_API powerinfer_status powerinfer_cache_open(uint32_t model, uint32_t position_count, uint32_t cache_type, uint32_t* cache);
POWERINFER_API powerinfer_status powerinfer_cache_size(uint32_t cache, double* size_bytes);
POWERINFER_API powerinfer_status powerinfer_cache_close(uint32_t cache);

/* ---- one batch, in this order: embed, then per block attend, ffn, merge, then logits ------------------------------ */

typedef struct powerinfer_row {
  uint32_t token;    /* < vocabulary_size */
  uint32_t position; /* < the cache's position_count */
  uint32_t cache;    /* a KV cache of this model */
} powerinfer_row;

/* Begins a batch: rows of any caches, each (cache, position) at most once; earlier positions of a cache were in earlier batches or are in this one. */
POWERINFER_API powerinfer_status powerinfer_embed(uint32_t model, const powerinfer_row* rows, uint32_t row_count);
/* Norm, attention, residual; then the normalized FFN input, kept for powerinfer_ffn and copied to `hidden` f32[row_count, hidden_width] unless NULL. */
POWERINFER_API powerinfer_status powerinfer_attend(uint32_t model, uint32_t block, float* hidden);
/* What the last attend took the FFN's norm of, to `residual` f32[row_count, hidden_width]: the residual after attention; of a parallel block, the block's input. */
POWERINFER_API powerinfer_status powerinfer_residual(uint32_t model, float* residual);

enum {
  POWERINFER_FFN_CONFIRM = 1 /* compute the gate (not gated: up) of the candidates, then read the rest only of neurons whose activation is not zero, or not below powerinfer_model_thresholds */
};
/*
 * The part of a block's FFN that the named neurons make: Σ over neurons of down[neuron] · activation[neuron], without DOWN_BIAS.
 *
 *   hidden   f32[row_count, hidden_width], or NULL for what attend left here
 *   active   u32[row_count, ceil(ffn_width / 32)]: bit n of a row = neuron n is a candidate for that row; NULL: all neurons for all rows.
 *            Bits at ffn_width and above must be 0.
 *   partial  f32[row_count, hidden_width], written; or NULL to keep it here for merge
 *
 * A sparse run (active given, or CONFIRM) reads DOWN_BY_NEURON or DOWN_REPACKED and is INCOMPLETE without either.
 */
POWERINFER_API powerinfer_status powerinfer_ffn(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, const uint32_t* active, uint32_t flags,
                                 float* partial);
/*
 * powerinfer_ffn with the neurons that a predictor names: its kernel is called here, on the model's threads and on `hidden` where it lies.
 * INVALID_ARGUMENT if the predictor was opened for another shape or for fewer rows.
 */
POWERINFER_API powerinfer_status powerinfer_ffn_selected(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, uint32_t predictor,
                                                         uint32_t flags, float* partial);
/* Adds to the residual: the partial kept by powerinfer_ffn and DOWN_BIAS if `partial` is NULL, else f32[row_count, hidden_width] of another device. */
POWERINFER_API powerinfer_status powerinfer_merge(uint32_t model, uint32_t block, const float* partial);
/* Activations of every neuron, f(gate · x) ⊙ g(up · x), to `activations` f32[row_count, ffn_width]: for oracles and traces. */
POWERINFER_API powerinfer_status powerinfer_activations(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, float* activations);
/* Logits of the batch's rows[i], i < count, to `logits` f32[count, vocabulary_size]. */
POWERINFER_API powerinfer_status powerinfer_logits(uint32_t model, const uint32_t* rows, uint32_t count, float* logits);

typedef struct powerinfer_counters {
  uint32_t struct_size; /* set by the caller */
  uint32_t reserved;
  double row_count;             /* rows embedded since the model was opened */
  double weight_bytes;          /* weight bytes the kernels were asked to read, FFN included; a matrix row used by many batch rows counts once, an embedding row each time */
  double ffn_bytes;             /* the FFN's part of it */
  double cache_bytes;           /* KV cache bytes read */
  double neuron_count;          /* Σ over batches, blocks and rows of ffn_width */
  double neuron_computed_count; /* of these, neurons whose down row was used: all when dense, those with a nonzero activation when sparse */
} powerinfer_counters;

POWERINFER_API powerinfer_status powerinfer_counters_read(uint32_t model, powerinfer_counters* counters);

/* ---- where the time of batches goes ------------------------------------------------------------------------------- */

enum {
  POWERINFER_PHASE_DECODE = 0,  /* batches of one row */
  POWERINFER_PHASE_PREFILL = 1, /* batches of more */
  POWERINFER_PHASE_COUNT = 2
};
/* Each ends where the next begins, so their seconds add up to what the calls took but for entering them. Later versions append. */
enum {
  POWERINFER_STAGE_EMBED = 0,
  POWERINFER_STAGE_NORM = 1, /* every norm, and the codes of what a matrix multiplies next */
  POWERINFER_STAGE_QKV = 2,
  POWERINFER_STAGE_ROPE = 3, /* norm of heads, rope, writing the cache */
  POWERINFER_STAGE_ATTENTION = 4,
  POWERINFER_STAGE_ATTENTION_OUTPUT = 5, /* and the residual */
  POWERINFER_STAGE_GATE_UP = 6,          /* and activations; in sparse runs the search for neurons that fire */
  POWERINFER_STAGE_DOWN = 7,
  POWERINFER_STAGE_MERGE = 8,
  POWERINFER_STAGE_LOGITS = 9,
  POWERINFER_STAGE_SELECT = 10, /* a predictor's, in powerinfer_ffn_selected */
  POWERINFER_STAGE_COUNT = 11
};

typedef struct powerinfer_stage {
  uint32_t struct_size; /* set by the caller */
  uint32_t reserved;
  double call_count;
  double seconds; /* wall time of the calling thread */
  double bytes;   /* of weights and KV cache, counted as powerinfer_counters does */
} powerinfer_stage;

/* Sets every stage to zero and measures from now on. Models that were not asked read no clock. */
POWERINFER_API powerinfer_status powerinfer_profile_start(uint32_t model);
/* INVALID_ARGUMENT for a phase or stage this version does not know. All zero if the profile was never started. */
POWERINFER_API powerinfer_status powerinfer_profile_read(uint32_t model, uint32_t phase, uint32_t stage, powerinfer_stage* totals);

/* ---- plugins ------------------------------------------------------------------------------------------------------ */

/*
 * Libraries that bring predictor kernels or a whole device; powerinfer_plugin.h is their side of it. Objects of a plugin are built, then opened:
 * what the plugin refuses, it refuses there. All errors name the plugin and its function.
 */

/*
 * Loads the library at `path`; loading one twice is fine. FILE_ERROR if the system cannot load it (with its words); UNSUPPORTED if it is no plugin or
 * of another ABI; PLUGIN_FAILED if what it says about itself is wrong.
 */
POWERINFER_API powerinfer_status powerinfer_plugin_load(const char* path, uint32_t path_length, uint32_t* plugin);

enum {
  POWERINFER_PLUGIN_PREDICTOR = 1, /* for powerinfer_predictor_new */
  POWERINFER_PLUGIN_BACKEND = 2,   /* for powerinfer_device_new */
  POWERINFER_PLUGIN_SELECTS_CPU = 4,
  POWERINFER_PLUGIN_SELECTS_CUDA = 8
};
enum {
  POWERINFER_PREDICTOR_CONFIRMS = 1, /* names more than fire: run the FFN with POWERINFER_FFN_CONFIRM */
  POWERINFER_PREDICTOR_EXACT = 2     /* names every neuron that fires */
};
enum {
  POWERINFER_BACKEND_SELECTS = 1,   /* runs the kernels of predictors by itself */
  POWERINFER_BACKEND_HANDS_OVER = 2 /* has `hidden` and `selected`: attend returns at once */
};

typedef struct powerinfer_plugin_facts {
  uint32_t struct_size; /* set by the caller */
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t provides;        /* POWERINFER_PLUGIN_x */
  uint32_t predictor_flags; /* POWERINFER_PREDICTOR_x */
  uint32_t backend_flags;   /* POWERINFER_BACKEND_x */
} powerinfer_plugin_facts;

POWERINFER_API powerinfer_status powerinfer_plugin_read(uint32_t plugin, powerinfer_plugin_facts* facts);
/* Copy its name and version, UTF-8, not NUL-terminated, cut to `capacity` bytes (they have at most 64); `*length` is the bytes written. */
POWERINFER_API powerinfer_status powerinfer_plugin_name(uint32_t plugin, char* text, uint32_t capacity, uint32_t* length);
POWERINFER_API powerinfer_status powerinfer_plugin_version(uint32_t plugin, char* text, uint32_t capacity, uint32_t* length);
/* Its predictors and devices live on, and the library stays mapped: threads of its own may be in it. */
POWERINFER_API powerinfer_status powerinfer_plugin_close(uint32_t plugin);

enum {
  POWERINFER_OPTION_NUMBER = 0,
  POWERINFER_OPTION_TEXT = 1,
  POWERINFER_OPTION_BOOLEAN = 2 /* `number` is 0 or 1 */
};

/* UNSUPPORTED if the plugin brings no predictor. */
POWERINFER_API powerinfer_status powerinfer_predictor_new(uint32_t plugin, const powerinfer_model_shape* shape, uint32_t* predictor);
/* A setting under its name; the same name again replaces. `text` is copied, and may be NULL unless kind is TEXT. */
POWERINFER_API powerinfer_status powerinfer_predictor_option(uint32_t predictor, const char* name, uint32_t name_length, uint32_t kind, double number,
                                                             const char* text, uint32_t text_length);
/* Bytes under a name, copied to a boundary of 64; the same name again replaces. `bytes` may be NULL if there are none. */
POWERINFER_API powerinfer_status powerinfer_predictor_array(uint32_t predictor, const char* name, uint32_t name_length, const void* bytes, double size_bytes);
/* Options and arrays are fixed from here on. */
POWERINFER_API powerinfer_status powerinfer_predictor_open(uint32_t predictor);
/*
 * Names the neurons of `block` for hidden f32[row_count, hidden_width] in active u32[row_count, ceil(ffn_width / 32)], as powerinfer_ffn reads it; on
 * failure all zero. `residual`: what powerinfer_residual says, or NULL where nobody knows it. `cpu`: whose threads the plugin may use; 0: only the
 * caller's. UNSUPPORTED if the plugin selects on other devices only.
 */
POWERINFER_API powerinfer_status powerinfer_predictor_select(uint32_t predictor, uint32_t cpu, uint32_t block, const float* hidden,
                                                             const float* residual, uint32_t row_count, uint32_t* active);
/*
 * Median seconds of one selection on the caller's thread: through the kernel's function pointer, and through powerinfer_predictor_select. The difference is
 * what a plugin costs over a kernel that is linked in.
 */
POWERINFER_API powerinfer_status powerinfer_predictor_measure(uint32_t predictor, uint32_t block, const float* hidden, uint32_t row_count,
                                                              uint32_t repetitions, double* kernel_s, double* call_s);
POWERINFER_API powerinfer_status powerinfer_predictor_close(uint32_t predictor);

typedef struct powerinfer_backend_facts {
  uint32_t struct_size; /* set by the caller */
  uint32_t driver_version; /* since 1.2, of what the device is driven by, in its maker's numbers; 0: nothing that has a version */
  double memory_bytes;
  double memory_available_bytes;
  char name[64]; /* the device's, "NVIDIA H100" say: NUL-terminated UTF-8 */
} powerinfer_backend_facts;

/*
 * What device `index` of this plugin would be, without opening it. UNSUPPORTED if the plugin brings no backend or does not say; INVALID_ARGUMENT from the
 * number of its devices on, which is 1 unless it says otherwise.
 */
POWERINFER_API powerinfer_status powerinfer_device_facts(uint32_t plugin, uint32_t index, powerinfer_backend_facts* facts);

typedef struct powerinfer_backend_speed {
  uint32_t struct_size; /* set by the caller */
  uint32_t reserved;
  double read_bytes_per_second; /* of its memory, much more than its caches hold */
  double hand_off_seconds;      /* a hidden vector to the host, a partial sum back, merged: the median of many */
} powerinfer_backend_speed;

/* How fast device `index` of this plugin is, measured: takes up to a second. UNSUPPORTED if the plugin cannot say; the rest as powerinfer_device_facts. */
POWERINFER_API powerinfer_status powerinfer_device_measure(uint32_t plugin, uint32_t index, powerinfer_backend_speed* speed);
/* `home` is 1 for the device that runs attention and holds the caches, 0 for one that only adds its share of FFNs. */
POWERINFER_API powerinfer_status powerinfer_device_new(uint32_t plugin, const powerinfer_model_shape* shape, uint32_t home, uint32_t* device);
/* As of a predictor. */
POWERINFER_API powerinfer_status powerinfer_device_option(uint32_t device, const char* name, uint32_t name_length, uint32_t kind, double number,
                                                          const char* text, uint32_t text_length);
POWERINFER_API powerinfer_status powerinfer_device_array(uint32_t device, const char* name, uint32_t name_length, const void* bytes, double size_bytes);
/* The neurons u32[ceil(ffn_width / 32)] of a block that the device will be asked for; of blocks without a share, all. Copied. */
POWERINFER_API powerinfer_status powerinfer_device_share(uint32_t device, uint32_t block, const uint32_t* neurons);
/* As powerinfer_model_bind, of any type the library knows the size of; the file stays mapped until the device closes. UNSUPPORTED for DOWN_REPACKED, whose layout is the CPU's own. */
POWERINFER_API powerinfer_status powerinfer_device_bind(uint32_t device, uint32_t role, uint32_t block, uint32_t file, double offset_bytes, uint32_t type,
                                                        uint32_t width, uint32_t rows);
POWERINFER_API powerinfer_status powerinfer_device_rope(uint32_t device, const float* inverse_frequencies, uint32_t count);
/* Has the plugin open the device with all of the above, which is fixed from here on. The calls below need it. */
POWERINFER_API powerinfer_status powerinfer_device_ready(uint32_t device);
/* Caches are numbered by the plugin, for rows of this device only. */
POWERINFER_API powerinfer_status powerinfer_device_cache_open(uint32_t device, uint32_t position_count, uint32_t cache_type, uint32_t* cache);
POWERINFER_API powerinfer_status powerinfer_device_cache_close(uint32_t device, uint32_t cache);

/* As the functions of a model; UNSUPPORTED if the plugin brings no such function. A device is used by one thread at a time. */
POWERINFER_API powerinfer_status powerinfer_device_embed(uint32_t device, const powerinfer_row* rows, uint32_t row_count);
POWERINFER_API powerinfer_status powerinfer_device_attend(uint32_t device, uint32_t block, float* hidden);
POWERINFER_API powerinfer_status powerinfer_device_activations(uint32_t device, uint32_t block, const float* hidden, uint32_t row_count, float* activations);
enum {
  POWERINFER_FFN_START = 2 /* of devices: may return before `partial` is written; hidden, active and partial are borrowed until powerinfer_device_ffn_wait */
};
/* `active` may name neurons outside the device's share; they are left to other devices. */
POWERINFER_API powerinfer_status powerinfer_device_ffn(uint32_t device, uint32_t block, const float* hidden, uint32_t row_count, const uint32_t* active,
                                                       uint32_t flags, float* partial);
/* What the last attend left in the device, to `hidden` f32[row_count, hidden_width]; an FFN may be under way, and is not waited for. UNSUPPORTED where attend must be given `hidden`. */
POWERINFER_API powerinfer_status powerinfer_device_hidden(uint32_t device, float* hidden);
/* Makes the device ready to run a predictor: before the first powerinfer_device_ffn_selected with it. UNSUPPORTED if the device cannot. */
POWERINFER_API powerinfer_status powerinfer_device_prepare(uint32_t device, uint32_t predictor);
/* With the neurons that a predictor names, where the device can run it (POWERINFER_BACKEND_SELECTS); else here, and `hidden` must then be given. */
POWERINFER_API powerinfer_status powerinfer_device_ffn_selected(uint32_t device, uint32_t block, const float* hidden, uint32_t row_count, uint32_t predictor,
                                                                uint32_t flags, float* partial);
/*
 * What the predictor of the last powerinfer_device_ffn_selected named, the neurons outside the device's share too, to `active` u32[row_count, ceil(ffn_width / 32)].
 * That FFN may be under way, and is not waited for. UNSUPPORTED if the device does not say.
 */
POWERINFER_API powerinfer_status powerinfer_device_selected(uint32_t device, uint32_t* active);
/* Returns when the FFN that was started is done; nothing to do if none was. */
POWERINFER_API powerinfer_status powerinfer_device_ffn_wait(uint32_t device);
POWERINFER_API powerinfer_status powerinfer_device_merge(uint32_t device, uint32_t block, const float* partial);
POWERINFER_API powerinfer_status powerinfer_device_logits(uint32_t device, const uint32_t* rows, uint32_t count, float* logits);
POWERINFER_API powerinfer_status powerinfer_device_counters_read(uint32_t device, powerinfer_counters* counters);
POWERINFER_API powerinfer_status powerinfer_device_close(uint32_t device);

/* ---- predictor kernels of the library's own ----------------------------------------------------------------------- */

/*
 * The plugin of that name that is linked into the library: a handle like that of powerinfer_plugin_load, for powerinfer_predictor_new. UNSUPPORTED if
 * there is none. All of them take the option `isa` (POWERINFER_ISA_x; absent: the best here); settings of block B have names that end in ".B".
 *
 * low_rank: names neuron n where score[n] > thresholds[n], score = up · f(down · x).
 *   options  relu (BOOLEAN): f is max(0, ·), else the identity; residual (BOOLEAN): x is `hidden` before its norm; rank.B; down_type.B, up_type.B: GGUF's numbers
 *   arrays   down.B [rank, hidden_width], up.B [ffn_width, rank] with rank rounded up to whole blocks of its type (what lies beyond multiplies zeros),
 *            thresholds.B f32[ffn_width]
 *   reads    all of it once for a batch of rows
 *
 * quantized_gate: the same with score = proxy · x / |x|, for hidden_width a multiple of 32; says that it confirms.
 *   options  bits: 2 or 3
 *   arrays   proxy.B [ffn_width, hidden_width rounded up to a multiple of 64], every 64 weights 18 or 26 bytes: a half d, 16 bytes with the lower two bits of
 *            codes (of code 16 k + i bits 2 k and 2 k + 1 of byte i), of 3 bits 8 more (the third bit of code 8 k + i is bit k of byte i);
 *            weight = d · (2 code - 3) or d · (2 code - 7). thresholds.B f32[ffn_width]
 *   reads    all of it once for a batch of rows
 *
 * sign_bits: the same with score = Σ sign(gate) sign(x) m / √Σ m², m the magnitude of x in levels 0 .. 2^planes - 1 (planes 1: 1); says that it confirms.
 *   options  planes: 1 to 3
 *   arrays   signs.B bits [ffn_width, hidden_width rounded up to a multiple of 256], 1 for a weight below zero, the lowest bit of a byte first;
 *            thresholds.B f32[ffn_width]
 *   reads    all of it once for a row, from the caches but for the first
 */
POWERINFER_API powerinfer_status powerinfer_plugin_builtin(const char* name, uint32_t name_length, uint32_t* plugin);

#ifdef __cplusplus
}
#endif

#endif
