// Which predictor kernels come with the library?
#pragma once
#include <cstdint>
#include <string>

#include "../include/powerinfer_plugin.h"

namespace powerinfer {

// The table of that name, which lives for ever; null: there is none.
const powerinfer_plugin* builtin_plugin(const std::string& name);
// All names, for messages: "low_rank, …".
std::string builtin_names();

// What each file beside this one defines.
extern const powerinfer_predictor_kernels kLowRank, kQuantizedGate, kSignBits;

}  // namespace powerinfer
