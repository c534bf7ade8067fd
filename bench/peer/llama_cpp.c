/*
 * How long does llama.cpp take for a prompt and for the tokens after it? A child process that keeps one model loaded.
 *
 *   llama_cpp BACKENDS MODEL THREADS CONTEXT
 *     BACKENDS  the directory of libggml-cpu-*.so: the best one for this CPU is taken
 *     CONTEXT   positions of the KV cache, which is F16
 *
 * It prints `ready VERSION` once the model is loaded. Each line of standard input
 *   run PROMPT_COUNT ID ID …
 * empties the KV cache, evaluates the first PROMPT_COUNT ids as one batch and the others one at a time, and is answered by
 *   ran PREFILL_SECONDS DECODE_SECONDS
 * Between lines it waits in read() and its threads sleep. It ends with its input; what goes wrong is said on standard error, with exit code 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"

static _Noreturn void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static void print_errors(enum ggml_log_level level, const char* text, void* data) {
  (void)data;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int32_t parse_int(const char* text, int32_t min, int32_t max, const char* what, char** end) {
  errno = 0;
  const long value = strtol(text, end, 10);
  if (*end == text || errno != 0 || value < min || value > max) fail("%s must be a number from %d to %d: %s", what, min, max, text);
  return (int32_t)value;
}

static int32_t parse_argument(const char* text, const char* what) {
  char* end;
  const int32_t value = parse_int(text, 1, 1 << 20, what, &end);
  if (*end != 0) fail("%s is no number: %s", what, text);
  return value;
}

/* The threads stay between batches, as in llama.cpp's own programs; without a pool each batch would start and join them. */
static void attach_threads(struct llama_context* context, int32_t thread_count) {
  const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == NULL) fail("no backend for this CPU was found");
  typedef ggml_threadpool_t (*new_threadpool)(struct ggml_threadpool_params*);
  const new_threadpool create = (new_threadpool)(uintptr_t)ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), "ggml_threadpool_new");
  if (create == NULL) fail("the CPU backend has no thread pool");
  struct ggml_threadpool_params params = ggml_threadpool_params_default(thread_count);
  const ggml_threadpool_t pool = create(&params);
  if (pool == NULL) fail("the threads could not be started");
  llama_attach_threadpool(context, pool, pool);
}

/* Seconds until `count` tokens, appended to the KV cache as one batch, and the last one's logits are done. */
static double evaluate_s(struct llama_context* context, int32_t* tokens, int32_t count) {
  const double start = now_s();
  const int32_t status = llama_decode(context, llama_batch_get_one(tokens, count));
  if (status != 0) fail("llama_decode of %d tokens answers %d", count, status);
  llama_synchronize(context);
  return now_s() - start;
}

int main(int argument_count, char** arguments) {
  if (argument_count != 5) fail("llama_cpp BACKENDS MODEL THREADS CONTEXT");
  const int32_t thread_count = parse_argument(arguments[3], "THREADS");
  const int32_t context_length = parse_argument(arguments[4], "CONTEXT");

  llama_log_set(print_errors, NULL);
  ggml_backend_load_all_from_path(arguments[1]);
  llama_backend_init();
  struct llama_model_params model_params = llama_model_default_params();
  model_params.n_gpu_layers = 0;
  struct llama_model* const model = llama_model_load_from_file(arguments[2], model_params);
  if (model == NULL) fail("the model cannot be loaded");

  struct llama_context_params params = llama_context_default_params();
  params.n_ctx = (uint32_t)context_length;
  params.n_batch = (uint32_t)context_length;
  params.n_threads = params.n_threads_batch = thread_count;
  params.type_k = params.type_v = GGML_TYPE_F16;
  params.no_perf = true;
  struct llama_context* const context = llama_init_from_model(model, params);
  if (context == NULL) fail("there is no room for a context of %d positions", context_length);
  attach_threads(context, thread_count);
  const int32_t vocabulary_size = llama_vocab_n_tokens(llama_model_get_vocab(model));
  int32_t* const tokens = calloc((size_t)context_length, sizeof *tokens);
  if (tokens == NULL) fail("there is no memory for the tokens");

  printf("ready %s\n", llama_version());
  fflush(stdout);
  char* line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    if (strncmp(line, "run ", 4) != 0) fail("unknown command: %s", line);
    char* rest;
    const int32_t prompt_count = parse_int(line + 4, 1, context_length, "PROMPT_COUNT", &rest);
    int32_t count = 0;
    for (rest += strspn(rest, " \n"); *rest != 0; rest += strspn(rest, " \n")) {
      if (count == context_length) fail("the text is longer than the context of %d", context_length);
      tokens[count++] = parse_int(rest, 0, vocabulary_size - 1, "ID", &rest);
    }
    if (count < prompt_count) fail("the text has %d tokens, its prompt %d", count, prompt_count);

    llama_memory_clear(llama_get_memory(context), true);
    const double prefill_s = evaluate_s(context, tokens, prompt_count);
    double decode_s = 0;
    for (int32_t i = prompt_count; i < count; ++i) decode_s += evaluate_s(context, tokens + i, 1);
    printf("ran %.9f %.9f\n", prefill_s, decode_s);
    fflush(stdout);
  }
  /* The system frees everything at once: unloading a model in order takes longer than its owner waits. */
  return 0;
}
