// Where is libpowerinfer_cuda?
import {
  findLibrary,
  locateLibrary,
  type NativeLibraryError,
  type NativeTarget,
  type PluginKernels
} from "@powerinfer/core"
import * as Effect from "effect/Effect"

const gpu: NativeTarget = {
  name: "powerinfer_cuda",
  variable: "POWERINFER_CUDA_LIBRARY",
  without: ["test", "cuda/check", "cuda/sim", "cuda/test"],
  tools: [{ name: "nvcc, the CUDA toolkit's compiler,", commands: ["nvcc", "/usr/local/cuda/bin/nvcc"] }]
}
const simulator: NativeTarget = {
  name: "powerinfer_cuda_simulated",
  variable: "POWERINFER_CUDA_SIMULATED_LIBRARY",
  without: ["test", "cuda/check", "cuda/test"],
  tools: []
}

const kernelsAt = (path: string): PluginKernels => ({
  candidates: [path],
  build: "remove it, and it is built again"
})

/** Finds the library, or builds it where there is what that takes. */
export const cudaKernels = (simulated: boolean): Effect.Effect<PluginKernels, NativeLibraryError> =>
  Effect.map(locateLibrary({ target: simulated ? simulator : gpu }), ({ path }) => kernelsAt(path))

/** Finds the library; undefined where it would have to be built. */
export const installedKernels = (simulated: boolean): Effect.Effect<PluginKernels | undefined, NativeLibraryError> =>
  Effect.map(findLibrary({ target: simulated ? simulator : gpu }), (found) => found && kernelsAt(found.path))
