// How does a built-in predictor read what it is opened with?
#include "kernel_table.h"

#include <cstdio>

namespace powerinfer {

const float* residual_of(const powerinfer_select& call) {
  if (!POWERINFER_HAS(&call, residual)) fail(POWERINFER_UNSUPPORTED, "it reads the residual, which this device does not tell");
  return call.residual;
}

BlockName::BlockName(const char* name, uint32_t block) { std::snprintf(text, sizeof text, "%s.%u", name, block); }

uint32_t number_of(const powerinfer_plugin_context& context, const char* name, uint32_t most) {
  const powerinfer_option* const option = powerinfer_option_named(&context, name);
  if (option == nullptr || option->kind != POWERINFER_OPTION_NUMBER) fail(POWERINFER_INVALID_ARGUMENT, "there is no number %s", name);
  const double number = option->number;
  if (!(number >= 0 && number <= most) || number != static_cast<uint32_t>(number)) {
    fail(POWERINFER_INVALID_ARGUMENT, "%s is %g; it must be a whole number from 0 to %u", name, number, most);
  }
  return static_cast<uint32_t>(number);
}

const uint8_t* array_of(const powerinfer_plugin_context& context, const char* name, uint64_t size_bytes) {
  const powerinfer_array* const array = powerinfer_array_named(&context, name);
  if (array == nullptr) fail(POWERINFER_INVALID_ARGUMENT, "there is no array %s", name);
  if (array->size_bytes != static_cast<double>(size_bytes)) {
    fail(POWERINFER_INVALID_ARGUMENT, "the array %s has %.0f bytes; it must have %.0f", name, array->size_bytes, static_cast<double>(size_bytes));
  }
  return static_cast<const uint8_t*>(array->data);
}

const Kernels& kernels_of(const powerinfer_plugin_context& context) {
  uint32_t isa = powerinfer_option_named(&context, "isa") == nullptr ? uint32_t{POWERINFER_ISA_AUTO} : number_of(context, "isa", 64);
  const Kernels* const kernels = kernels_for(isa);
  if (kernels == nullptr) fail(POWERINFER_UNSUPPORTED, "this CPU has no instruction set %u", isa);
  return *kernels;
}

}  // namespace powerinfer
