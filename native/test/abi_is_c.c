/* Is powerinfer.h C? It is compiled as C11 here, and every function's address is taken, so that a missing one fails to link. */
#include "../include/powerinfer.h"

typedef void (*any_function)(void);

uint32_t powerinfer_abi_function_count(void);

uint32_t powerinfer_abi_function_count(void) {
  static const any_function functions[] = {
      (any_function)powerinfer_abi_version,
      (any_function)powerinfer_last_error,
      (any_function)powerinfer_machine_read,
      (any_function)powerinfer_file_open,
      (any_function)powerinfer_file_size,
      (any_function)powerinfer_file_close,
      (any_function)powerinfer_dequantize,
      (any_function)powerinfer_cpu_open,
      (any_function)powerinfer_cpu_describe,
      (any_function)powerinfer_cpu_measure_bandwidth,
      (any_function)powerinfer_cpu_measure_file_bandwidth,
      (any_function)powerinfer_cpu_close,
      (any_function)powerinfer_model_open,
      (any_function)powerinfer_model_bind,
      (any_function)powerinfer_model_make_resident,
      (any_function)powerinfer_model_rope,
      (any_function)powerinfer_model_ready,
      (any_function)powerinfer_model_close,
      (any_function)powerinfer_repack_down_size,
      (any_function)powerinfer_repack_down,
      (any_function)powerinfer_cache_open,
      (any_function)powerinfer_cache_size,
      (any_function)powerinfer_cache_close,
      (any_function)powerinfer_embed,
      (any_function)powerinfer_attend,
      (any_function)powerinfer_ffn,
      (any_function)powerinfer_merge,
      (any_function)powerinfer_activations,
      (any_function)powerinfer_logits,
      (any_function)powerinfer_counters_read,
      (any_function)powerinfer_profile_start,
      (any_function)powerinfer_profile_read,
  };
  uint32_t count = 0;
  for (uint32_t i = 0; i < sizeof functions / sizeof functions[0]; ++i) count += functions[i] != 0;
  return count;
}
