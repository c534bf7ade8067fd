/** Gives every device a run of whole blocks, so that the fullest device is as empty as can be. The first device is the home. */
import {
  definePlugin,
  type Linear,
  type Model,
  PlacementImpossible,
  type PluginUse,
  type TensorInfo,
  usePlugin
} from "@powerinfer/core"
import { Effect, Schema } from "effect"
import { partition } from "./partition.ts"

const name = "linear_partition"

/** Bytes of a block's FFN: what a device must hold to run it. */
const ffnBytes = ({ gate, up, down }: Model["blocks"][number]): number =>
  [gate, up, down].reduce((sum, matrix) => sum + (matrix ? linearBytes(matrix) : 0), 0)

const linearBytes = ({ weight, bias }: Linear): number => weight.sizeBytes + (bias?.sizeBytes ?? 0)

/** Bytes of everything else, which is the home's: embeddings, attention, output. */
const homeBytes = ({ gguf, blocks }: Model): number => {
  const all = [...gguf.tensors.values()].reduce((sum: number, { sizeBytes }: TensorInfo) => sum + sizeBytes, 0)
  return all - blocks.reduce((sum, block) => sum + ffnBytes(block), 0)
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "1.0.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model, devices }) => {
    const impossible = (reason: string) => Effect.fail(new PlacementImpossible({ policy: name, reason }))
    const without = devices.find(({ memoryBytes }) => !(memoryBytes > 0))
    if (devices.length === 0) return impossible("there is no device; name at least one backend")
    if (without) return impossible(`${without.name} has no memory; leave it out`)

    const sizes = model.blocks.map(ffnBytes)
    const taken = homeBytes(model)
    const rooms = devices.map(({ memoryBytes }, index) => ({ size: memoryBytes, taken: index === 0 ? taken : 0 }))
    const { ends, fullest } = partition(sizes, rooms)
    if (fullest > 1) {
      const all = gib(taken + sizes.reduce((sum, size) => sum + size, 0))
      return impossible(`the weights take ${all}, and no division of whole blocks fits the devices; add one`)
    }
    const holderOf = (block: number) => ends.findIndex((end) => block < end)
    const shares = sizes.map((_, block) =>
      devices.map((_device, index) => (index === holderOf(block) ? "all" : "none"))
    )
    return Effect.succeed({ home: 0, shares })
  }
})

export default plugin

/** The policy, for an engine to open. */
export const linearPartition = (): PluginUse<"placement"> => usePlugin(plugin)
