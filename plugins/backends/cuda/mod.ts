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
  nativeDeviceFacts,
  openNativeDevice,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import { Effect } from "effect"
import { cudaKernels } from "./library.ts"
import { CudaOptions } from "./options.ts"
import { budgetedBytes, parseBudget } from "./vram_budget.ts"

export { CudaOptions } from "./options.ts"

const failure = (reason: string) => new BackendFailure({ backend: "cuda", reason })

const plugin = definePlugin({
  kind: "backend",
  name: "cuda",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: CudaOptions,
  facts: Effect.fnUntraced(function* ({ device, simulated, vramBudget }: CudaOptions) {
    const facts = yield* nativeDeviceFacts(yield* cudaKernels(simulated), device)
    return { ...facts, memoryBytes: budgetedBytes(facts, vramBudget) }
  }),
  open: Effect.fnUntraced(function* ({ device, simulated, vramBudget }: CudaOptions, context) {
    const biased = context.model.blocks.findIndex(({ gate }) => gate?.bias !== undefined)
    if (biased !== -1) return yield* failure(`block ${biased} has a bias on its gate, which no kernel adds`)
    const vram_budget_bytes = vramBudget === undefined ? 0 : parseBudget(vramBudget)
    return yield* openNativeDevice(yield* cudaKernels(simulated), context, { options: { device, vram_budget_bytes } })
  })
})

export default plugin

/** The CUDA backend with these options, for an engine to open. */
export const cuda = (options: Partial<CudaOptions> = {}): PluginUse<"backend"> => usePlugin(plugin, options)
