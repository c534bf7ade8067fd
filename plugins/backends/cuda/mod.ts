/**
 * An NVIDIA GPU as a device: alone, or with a share of every block while other devices compute theirs.
 *
 * @example
 * ```ts
 * import { cuda } from "@powerinfer/backend-cuda"
 *
 * const backend = cuda({ device: 0, vramBudget: "8GiB" })
 * ```
 */
import {
  BackendFailure,
  definePlugin,
  type Measuring,
  type Model,
  nativeDeviceFacts,
  openNativeDevice,
  type PluginUse,
  roleBindings,
  usePlugin,
  type Workload
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { cudaKernels, installedKernels } from "./library.ts"
import { readTypes } from "./matrix_bytes.ts"
import { modelMemory } from "./model_memory.ts"
import { CudaOptions } from "./options.ts"
import { budgetedBytes, parseBudget } from "./vram_budget.ts"

export { CudaOptions } from "./options.ts"

const failure = (reason: string) => new BackendFailure({ backend: "cuda", reason })

/** Why this model cannot run here. */
const obstacleOf = (model: Model): string | undefined => {
  const biased = model.blocks.findIndex(({ gate }) => gate?.bias !== undefined)
  if (biased !== -1) return `block ${biased} has a bias on its gate, which no kernel adds`
  const unread = roleBindings(model).find(({ tensor }) => !readTypes.includes(tensor.type))
  return (
    unread &&
    `${unread.tensor.name} is of type ${unread.tensor.type}; a CUDA device reads ${readTypes.join(", ")}: convert the model to one of these, or run it on the CPU`
  )
}

/** The memory of the device is what a placement may fill. */
const facts = Effect.fnUntraced(function* (options: CudaOptions, measuring: Measuring, workload?: Workload) {
  const said = yield* nativeDeviceFacts(yield* cudaKernels(options.simulated), options.device, measuring)
  const memoryBytes = budgetedBytes(said, options.vramBudget)
  return { ...said, memoryBytes, ...(workload && { modelMemory: modelMemory(workload) }) }
})

const plugin = definePlugin({
  kind: "backend",
  name: "cuda",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: CudaOptions,
  facts: (options, workload) => facts(options, "never", workload),
  measure: facts,
  devices: Effect.fnUntraced(function* ({ simulated }: CudaOptions, model?: Model) {
    const kernels = yield* installedKernels(simulated)
    if (kernels === undefined) return []
    const obstacle = model && obstacleOf(model)
    if (obstacle !== undefined) return yield* failure(obstacle)
    const found: Array<typeof CudaOptions.Encoded> = []
    for (let device = 0; ; device++) {
      const answer = yield* Effect.result(nativeDeviceFacts(kernels, device))
      // The first one says why there is none, the others that there are no more.
      if (Result.isFailure(answer)) return device === 0 ? yield* answer.failure : found
      found.push({ ...(simulated && { simulated }), ...(device > 0 && { device }) })
    }
  }),
  open: Effect.fnUntraced(function* ({ device, simulated, vramBudget }: CudaOptions, context) {
    const obstacle = obstacleOf(context.model)
    if (obstacle !== undefined) return yield* failure(obstacle)
    const vram_budget_bytes = vramBudget === undefined ? 0 : parseBudget(vramBudget)
    return yield* openNativeDevice(yield* cudaKernels(simulated), context, { options: { device, vram_budget_bytes } })
  })
})

export default plugin

/** The CUDA backend with these options, for an engine to open. */
export const cuda = (options: Partial<CudaOptions> = {}): PluginUse<"backend"> => usePlugin(plugin, options)
