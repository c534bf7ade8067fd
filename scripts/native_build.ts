// How are the native library and its own tests built for the checks? The one place in scripts/ that knows CMake.
import { availableParallelism } from "node:os"

/** `release` is what users run; `sanitize` adds AddressSanitizer and UndefinedBehaviorSanitizer and is what its tests run in. */
export type NativeBuild = "release" | "sanitize"

/** The folder of a build, relative to the root. */
export const nativeBuildFolder = (build: NativeBuild): string => `build/native/${build}`

/** The test program of a build. It takes no arguments, prints the closing line of test_totals.ts and exits with 1 on a failure. */
export const nativeTestProgram = (build: NativeBuild): string => `${nativeBuildFolder(build)}/powerinfer_native_test`

/**
 * The commands that configure and build, to be run in the root in this order: `targets`, or what is built when nothing is said.
 * Warnings are errors: native/CMakeLists.txt says so.
 */
export const nativeBuildCommands = (
  build: NativeBuild,
  ...targets: ReadonlyArray<string>
): ReadonlyArray<ReadonlyArray<string>> => {
  const folder = nativeBuildFolder(build)
  const options = {
    release: ["-DCMAKE_BUILD_TYPE=Release"],
    sanitize: ["-DPOWERINFER_SANITIZE=ON"]
  }
  const wanted = targets.length === 0 ? [] : ["--target", ...targets]
  return [
    ["cmake", "-S", "native", "-B", folder, ...options[build]],
    ["cmake", "--build", folder, "--parallel", String(availableParallelism()), ...wanted]
  ]
}

/** What a release build is made of: the libraries that users and tests load, and the programs that are run by hand. */
export const releaseTargets: ReadonlyArray<string> = [
  "powerinfer",
  "powerinfer_kernel_bench",
  // The simulator needs Linux.
  ...(process.platform === "linux" ? ["powerinfer_cuda_simulated"] : [])
]

/**
 * The tests of the CUDA backend on the simulator (`cuda-sim`), a target and a program in the folder of its build: in the sanitizer build under its
 * sanitizers, in the release build under ThreadSanitizer. Counted as nativeTestProgram is.
 */
export const cudaSimulatorTests: Readonly<Record<NativeBuild, string>> = {
  sanitize: "powerinfer_cuda_sim_test",
  release: "powerinfer_cuda_race_test"
}
