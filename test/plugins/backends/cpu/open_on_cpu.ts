// How do these tests open a model on the CPU backend?
import { copyFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type DeviceContext, loadPlugin, openModel } from "@powerinfer/core"
import { cpu, type CpuOptions } from "@powerinfer/backend-cpu"
import { Effect } from "effect"

/** The trained ReLU model of the repository, in a type whose `down` has to be repacked. */
export const reluModel = fileURLToPath(
  new URL("../../../../models/relu-llama-7m/relu-llama-7m-q8_0.gguf", import.meta.url)
)

/** A copy in `directory`, so that what is made beside it lies there too. */
export const copyOfReluModel = (directory: string): string => {
  const path = join(directory, "model.gguf")
  copyFileSync(reluModel, path)
  return path
}

/** Opens all of the model at `path`. */
export const openOnCpu = Effect.fnUntraced(function* (
  path: string,
  options: Partial<CpuOptions> = {},
  context: Partial<DeviceContext> = {}
) {
  const model = yield* openModel(path)
  const backend = yield* loadPlugin(cpu(options))
  return yield* backend.open({
    model,
    shares: model.blocks.map(() => "all" as const),
    home: true,
    rowCountMax: 8,
    sparse: false,
    candidates: "every",
    announce: () => {},
    ...context
  })
})
