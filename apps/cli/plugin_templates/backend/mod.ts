/**
 * A backend that hands everything to the reference backend but `activations`, which is its own: where a new device begins. Replace one function
 * after the other; the contract suite compares each with the reference.
 */
import backendReference from "@powerinfer/backend-reference"
import {
  BackendFailure,
  definePlugin,
  type Device,
  type Linear,
  type Model,
  type PluginUse,
  readTensor,
  usePlugin
} from "@powerinfer/core"
import { Effect, Schema } from "effect"

const name = "plugin_name"

/** f32 copies of the weights that `activations` reads. */
interface FirstWeights {
  /** Undefined in an FFN without one. */
  readonly gate: DenseWeights | undefined
  readonly up: DenseWeights
}

interface DenseWeights {
  /** f32[ffn_width, hidden_width] */
  readonly values: Float32Array
  /** f32[ffn_width] */
  readonly bias: Float32Array | undefined
}

const readWeights = ({ gguf, blocks }: Model): ReadonlyArray<FirstWeights> => {
  const read = ({ weight, bias }: Linear) => ({
    values: readTensor(gguf, weight),
    bias: bias && readTensor(gguf, bias)
  })
  return blocks.map(({ gate, up }) => ({ gate: gate && read(gate), up: read(up) }))
}

const functions = {
  identity: (x: number) => x,
  relu: (x: number) => Math.max(x, 0),
  relu_squared: (x: number) => Math.max(x, 0) ** 2,
  silu: (x: number) => x / (1 + Math.exp(-x))
}

/** Undefined where the model uses an activation that is not written yet. */
const openActivations = ({ shape }: Model, weights: ReadonlyArray<FirstWeights>): Device["activations"] | undefined => {
  const { hiddenWidth, ffnWidth, gateActivation, upActivation } = shape
  if (gateActivation === "gelu" || upActivation === "gelu") return undefined
  const [f, g] = [functions[gateActivation], functions[upActivation]]
  const product = ({ values, bias }: DenseWeights, neuron: number, x: Float32Array, at: number): number => {
    let sum = 0
    for (let i = 0; i < hiddenWidth; i++) sum += values[neuron * hiddenWidth + i]! * x[at + i]!
    return sum + (bias?.[neuron] ?? 0)
  }
  return (block, hidden, into) => {
    const { gate, up } = weights[block]!
    for (let row = 0; row < hidden.rowCount; row++) {
      const at = row * hiddenWidth
      for (let neuron = 0; neuron < ffnWidth; neuron++) {
        const gated = gate ? f(product(gate, neuron, hidden.values, at)) : 1
        into[row * ffnWidth + neuron] = gated * g(product(up, neuron, hidden.values, at))
      }
    }
  }
}

const plugin = definePlugin({
  kind: "backend",
  name,
  version: "0.1.0",
  engine: "engine_range",
  module: import.meta.url,
  options: Schema.Struct({}),
  facts: () => Effect.map(backendReference.facts({}), (facts) => ({ ...facts, name })),
  open: Effect.fnUntraced(function* (_options, context) {
    const device = yield* backendReference.open({}, context)
    const weights = yield* Effect.try({
      try: () => readWeights(context.model),
      catch: (cause) => new BackendFailure({ backend: name, reason: String(cause) })
    })
    const activations = openActivations(context.model, weights)
    const opened: Device = {
      name,
      openCache: device.openCache,
      embed: (batch) => device.embed(batch),
      attend: (batch, block) => device.attend(batch, block),
      activations: activations ?? ((block, hidden, into) => device.activations(block, hidden, into)),
      startFfn: (block, hidden, active, confirms) => device.startFfn(block, hidden, active, confirms),
      mergeFfn: (block, partials) => device.mergeFfn(block, partials),
      logits: (batch) => device.logits(batch),
      counters: () => device.counters()
    }
    return opened
  })
})

export default plugin

/** The backend, for an engine to open. */
export const use = (): PluginUse<"backend"> => usePlugin(plugin)
