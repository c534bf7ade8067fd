/** Remembers the sets of the last tokens and proposes their union: another predictor is asked, for every token or now and then. */
import {
  type Batch,
  definePlugin,
  NeuronSet,
  type NeuronSelector,
  type PluginUse,
  type PredictorContext,
  PredictorFailure,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { OneRow } from "./one_row.ts"
import { RecentSets } from "./recent_sets.ts"

const defaultWindow = 4
const defaultRefresh = 1
const defaultSessions = 16

const Count = Schema.Int.check(Schema.isGreaterThan(0))

const Options = Schema.Struct({
  of: Schema.String.annotate({
    description: "Whose sets are remembered: NAME, or NAME:key=value,key=value in parentheses"
  }),
  window: Schema.optionalKey(
    Count.annotate({ description: `How many of its last sets make the proposal; default ${defaultWindow}` })
  ),
  refresh: Schema.optionalKey(
    Count.annotate({
      description: `It is asked for every token at 1, for every second one at 2, …; default ${defaultRefresh}`
    })
  ),
  sessions: Schema.optionalKey(
    Count.annotate({ description: `Sessions that are remembered at a time; default ${defaultSessions}` })
  )
})

/** Whose sets, how many of them, and how often there is a new one. */
export type PreviousTokenOptions = typeof Options.Type

const selectorOf = (
  inner: NeuronSelector,
  { window, refresh, sessions }: Required<Omit<PreviousTokenOptions, "of">>,
  { model, rowCountMax }: Pick<PredictorContext, "model" | "rowCountMax">
): NeuronSelector => {
  const { ffnWidth, hiddenWidth, blockCount } = model.shape
  const recent = new RecentSets({ ffnWidth, blockCount, window, sessions })
  const fresh = new NeuronSet(ffnWidth, rowCountMax)
  const alone = new NeuronSet(ffnWidth, 1)
  const oneRow = new OneRow(hiddenWidth)

  return {
    proposes: "some",
    confirms: inner.confirms,
    // A union with the token's own set leaves out nothing that is in it.
    exact: inner.exact && refresh === 1,
    // What a token reads on average.
    ...(inner.selectionBytes && { selectionBytes: inner.selectionBytes.map((bytes) => bytes / refresh) }),
    ...(inner.thresholds && { thresholds: inner.thresholds }),
    select: (block, hidden, active, batch) => {
      const { rowCount } = hidden
      const askedTogether = refresh === 1 || isPrompt(batch.prompt, rowCount)
      if (askedTogether) {
        fresh.reset(rowCount)
        inner.select(block, hidden, fresh, batch)
      }
      for (let row = 0; row < rowCount; row++) {
        const place = recent.advance(batch.rows[row * 3 + 2]!, block, batch.rows[row * 3 + 1]!)
        if (askedTogether) recent.push(place, fresh, row)
        else if (batch.prompt[row] === 1 || recent.age(place) >= refresh) {
          // One by one: who must be asked about depends on the session, and nobody else's rows are shown.
          oneRow.look(hidden, batch, row)
          alone.reset(1)
          inner.select(block, oneRow, alone, oneRow.batch)
          recent.push(place, alone, 0)
        }
        recent.addUnion(place, active, row)
      }
    }
  }
}

const isPrompt = (prompt: Batch["prompt"], rowCount: number): boolean => {
  for (let row = 0; row < rowCount; row++) if (prompt[row] === 0) return false
  return true
}

const plugin = definePlugin({
  kind: "predictor",
  name: "previous_token",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* (options, context) {
    const inner = yield* context.openPredictor(options.of)
    if (inner.proposes === "every") {
      const reason = `${options.of} names every neuron, so there is nothing to remember; choose one that proposes some`
      return yield* new PredictorFailure({ predictor: "previous_token", reason })
    }
    const { window = defaultWindow, refresh = defaultRefresh, sessions = defaultSessions } = options
    return selectorOf(inner, { window, refresh, sessions }, context)
  })
})

export default plugin

/** The sets of the last tokens, for an engine to open. */
export const previousToken = (options: PreviousTokenOptions): PluginUse<"predictor"> => usePlugin(plugin, options)
