/** Places neurons as a file says that `powerinfer place` has written: for this model, on these devices. */
import {
  definePlugin,
  heldByDevice,
  homeMemoryBytes,
  neuronBytes,
  ownersOf,
  PlacementImpossible,
  planFile,
  type PluginUse,
  readShares,
  shareMemoryBytes,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const name = "plan_file"

const Options = Schema.Struct({
  file: Schema.String.annotate({ description: "A plan of this model and these devices (powerinfer place)" })
})

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ file }, { model, devices, reservedBytes }) {
    const impossible = (reason: string) => new PlacementImpossible({ policy: name, reason })
    const read = yield* planFile.read(file, model)
    const [planned, present] = [
      read.devices.map(({ name, backend = name }) => backend),
      devices.map(({ name }) => name)
    ]
    if (planned.join() !== present.join()) {
      return yield* impossible(
        `${file} was made for the devices ${planned.join(", ")}, these are ${present.join(", ") || "none"}; name those with --backend, in this order, or make a plan for these with powerinfer place`
      )
    }
    const plan = yield* readShares(read, model.shape, name)
    const { ffnWidth } = model.shape
    const needed = heldByDevice(
      devices.length,
      neuronBytes(model).map(({ held }) => held),
      ownersOf(plan, ffnWidth)
    )
    for (const [index, device] of devices.entries()) {
      const isHome = index === plan.home
      if (!isHome && needed[index] === 0) continue
      const rest = isHome ? homeMemoryBytes(model, reservedBytes, device) : shareMemoryBytes(reservedBytes, device)
      const wanted = needed[index]! * (device.modelMemory?.neuronScale ?? 1) + rest
      if (wanted <= device.memoryBytes) continue
      return yield* impossible(
        `${file} puts ${gib(wanted)} on ${device.name}, which has ${gib(device.memoryBytes)}; lower --ctx or make another plan with powerinfer place`
      )
    }
    return plan
  })
})

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`

export default plugin

/** The plan of a file, for an engine to open. */
export const planOfFile = (options: typeof Options.Encoded): PluginUse<"placement"> => usePlugin(plugin, options)
