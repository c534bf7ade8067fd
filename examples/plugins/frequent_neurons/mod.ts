/**
 * Proposes the neurons that fired most often in a training text, the same for every token: what a predictor can do without looking at the hidden
 * vector. Untrained it proposes every neuron.
 */
import {
  attemptGguf,
  definePlugin,
  fingerprintGguf,
  type Model,
  PredictorFailure,
  PredictorMismatch,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import { Effect, Schema } from "effect"
import { type Artifact, readArtifact, writeArtifact } from "./artifact.ts"
import { countFiring, mostFrequent } from "./frequency.ts"

const name = "frequent_neurons"
const defaultShare = 0.3

const Options = Schema.Struct({
  file: Schema.optionalKey(Schema.String.annotate({ description: "What training wrote; absent: untrained" })),
  share: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).annotate({
      description: `The part of every block's neurons to propose, rounded up; absent: ${defaultShare}`
    })
  )
})

/** Where the artifact is and how many neurons to propose. */
export type FrequentNeuronsOptions = typeof Options.Type

const failure = (reason: string) => new PredictorFailure({ predictor: name, reason })

const fingerprint = (model: Model) =>
  attemptGguf(() => fingerprintGguf(model.gguf)).pipe(Effect.mapError(({ message }) => failure(message)))

/** Fails with `PredictorFailure` if the file is damaged, with `PredictorMismatch` if it was made for another model. */
const openArtifact = Effect.fnUntraced(function* (path: string, model: Model) {
  const artifact = yield* readArtifact(path).pipe(Effect.mapError(failure))
  const actual = yield* fingerprint(model)
  if (artifact.fingerprint !== actual) {
    const [expected, found] = [artifact.fingerprint, actual].map((hash) => `the fingerprint ${hash.slice(0, 12)}…`)
    return yield* new PredictorMismatch({ predictor: name, expected: `${expected}; train again`, actual: found! })
  }
  return artifact
})

/** [block] → bitset u32[ceil(ffn_width / 32)] of the neurons to propose. */
const proposals = ({ counts }: Artifact, { shape }: Model, share: number): ReadonlyArray<Uint32Array> =>
  counts.map((ofBlock) => mostFrequent(ofBlock, Math.ceil(share * shape.ffnWidth)))

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "1.0.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ file, share = defaultShare }, { model }) {
    if (file === undefined) {
      return { proposes: "every", confirms: true, exact: true, select: (_block, _hidden, active) => active.fill() }
    }
    const blocks = proposals(yield* openArtifact(file, model), model, share)
    return {
      proposes: "some",
      confirms: true,
      exact: false,
      select: (block, hidden, active) => {
        for (let row = 0; row < hidden.rowCount; row++) active.words.set(blocks[block]!, row * active.wordsPerRow)
      }
    }
  }),
  train: Effect.fnUntraced(function* (options, { model, rows, out, announce }) {
    const { blockCount, ffnWidth } = model.shape
    const counts: Array<Uint32Array> = []
    for (let block = 0; block < blockCount; block++) {
      counts.push(countFiring(rows(block), ffnWidth))
      announce(`block ${block + 1} of ${blockCount}`)
    }
    yield* writeArtifact(out, { fingerprint: yield* fingerprint(model), counts }).pipe(Effect.mapError(failure))
    return { ...options, file: out }
  })
})

export default plugin

/** The predictor, for an engine to open. */
export const frequentNeurons = (options: FrequentNeuronsOptions = {}): PluginUse<"predictor"> =>
  usePlugin(plugin, options)
