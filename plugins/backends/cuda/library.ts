// Where is libpowerinfer_cuda?
import { locateLibrary, type NativeLibraryError, type NativeTarget, type PluginKernels } from "@powerinfer/core"
import { Effect } from "effect"

const gpu: NativeTarget = {
  name: "powerinfer_cuda",
  variable: "POWERINFER_CUDA_LIBRARY",
  tools: [{ name: "nvcc, the CUDA toolkit's compiler,", commands: ["nvcc", "/usr/local/cuda/bin/nvcc"] }]
}
const simulator: NativeTarget = {
  name: "powerinfer_cuda_simulated",
  variable: "POWERINFER_CUDA_SIMULATED_LIBRARY",
  tools: []
}

/** Finds the library, or builds it where there is what that takes. */
export const cudaKernels = (simulated: boolean): Effect.Effect<PluginKernels, NativeLibraryError> =>
  Effect.map(locateLibrary({ target: simulated ? simulator : gpu }), ({ path }) => ({
    candidates: [path],
    build: "remove it, and it is built again"
  }))
