/** A cheap predictor proposes, another one confirms: what both name is computed. By default the FFN's own gate has the last word. */
import {
  definePlugin,
  type FfnThresholds,
  NeuronSet,
  type NeuronSelector,
  type PluginUse,
  type PredictorContext,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Options = Schema.Struct({
  propose: Schema.String.annotate({
    description: "The predictor that is asked first: NAME, or NAME:key=value,key=value in parentheses"
  }),
  confirm: Schema.optionalKey(
    Schema.String.annotate({
      description: "The predictor whose set is intersected with the first one's; absent: the FFN's gate confirms"
    })
  )
})

/** Who proposes and who confirms, as on the command line. */
export type ThenOptions = typeof Options.Type

/** What both name. A neuron is computed only if neither leaves it out. */
const intersect = (
  first: NeuronSelector,
  second: NeuronSelector,
  { model, rowCountMax }: Pick<PredictorContext, "model" | "rowCountMax">
): NeuronSelector => {
  const { ffnWidth } = model.shape
  const thresholds = strictest(first.thresholds, second.thresholds)
  const selectionBytes = addUp(first.selectionBytes, second.selectionBytes)
  const common = {
    confirms: first.confirms || second.confirms,
    exact: first.exact && second.exact,
    ...(selectionBytes && { selectionBytes }),
    ...(thresholds && { thresholds })
  }
  // Who names every neuron changes nothing: the other is asked, by a native device too.
  if (first.proposes === "every") return { ...second, ...common }
  if (second.proposes === "every") return { ...first, ...common }

  const confirmed = new NeuronSet(ffnWidth, rowCountMax)
  return {
    ...common,
    proposes: "some",
    select: (block, hidden, active, batch) => {
      first.select(block, hidden, active, batch)
      confirmed.reset(hidden.rowCount)
      second.select(block, hidden, confirmed, batch)
      const wordCount = hidden.rowCount * active.wordsPerRow
      for (let word = 0; word < wordCount; word++) active.words[word]! &= confirmed.words[word]!
    }
  }
}

const addUp = (
  first: ReadonlyArray<number> | undefined,
  second: ReadonlyArray<number> | undefined
): ReadonlyArray<number> | undefined => {
  if (first === undefined || second === undefined) return first ?? second
  return first.map((bytes, block) => bytes + second[block]!)
}

/** A neuron is dropped if either would drop it: the larger threshold. */
const strictest = (
  first: ReadonlyArray<FfnThresholds> | undefined,
  second: ReadonlyArray<FfnThresholds> | undefined
): ReadonlyArray<FfnThresholds> | undefined => {
  if (first === undefined || second === undefined) return first ?? second
  return first.map((one, block) => {
    const other = second[block]!
    const gate = larger(one.gate, other.gate)
    const activation = larger(one.activation, other.activation)
    return { ...(gate && { gate }), ...(activation && { activation }) }
  })
}

const larger = (one: Float32Array | undefined, other: Float32Array | undefined): Float32Array | undefined =>
  one === undefined || other === undefined
    ? (one ?? other)
    : one.map((threshold, neuron) => Math.max(threshold, other[neuron]!))

const plugin = definePlugin({
  kind: "predictor",
  name: "then",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ propose, confirm }, context) {
    const first = yield* context.openPredictor(propose)
    // As it is, its native side included: it is the device that confirms.
    if (confirm === undefined) return { ...first, confirms: true }
    return intersect(first, yield* context.openPredictor(confirm), context)
  })
})

export default plugin

/** One proposes, another confirms, for an engine to open. No module may export a `then`: importing it would call that. */
export const proposeThenConfirm = (options: ThenOptions): PluginUse<"predictor"> => usePlugin(plugin, options)
