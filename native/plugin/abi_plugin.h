// The handles of plugins and of what they opened; see abi.h.
#pragma once
#include "../cpu/abi.h"
#include "device.h"
#include "library.h"
#include "predictor.h"

namespace powerinfer {

HandleTable<const PluginLibrary>& plugins();
HandleTable<Predictor>& predictors();
HandleTable<Device>& devices();

}  // namespace powerinfer
