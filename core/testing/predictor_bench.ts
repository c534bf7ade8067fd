// How does a contract suite open a predictor, when there is no engine around it and perhaps nothing trained yet?
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Batch, HiddenRows } from "../batch.ts"
import type { Model } from "../model/model.ts"
import { NeuronSet } from "../neuron_set.ts"
import type { PluginKinds, PredictorPlugin } from "../plugin.ts"
import type { NeuronSelector, TrainingContext, TrainingRows } from "../predictor.ts"
import { check } from "./assertions.ts"
import { copyRows } from "./direct_run.ts"
import { type FfnTruth, openFfnTruth } from "./ffn_truth.ts"
import { predictorContext, projectPredictors, selectStrangers } from "./predictor_context.ts"

/** What options are once the plugin's Schema has read them; what `train` returns. */
export type DecodedOptions = unknown

type Refusal = PluginKinds["predictor"]["refusal"]

/** A predictor and a model, ready to be opened any number of times. */
export interface PredictorBench {
  readonly plugin: PredictorPlugin
  readonly options: DecodedOptions
  readonly model: Model
  readonly truth: FfnTruth
  readonly rowCountMax: number
  /** Opens it once more, with options and a model of its own if they are given. */
  readonly open: (given?: {
    readonly options?: DecodedOptions
    readonly model?: Model
  }) => Effect.Effect<NeuronSelector, Refusal, Scope.Scope>
}

/** Most rows of one call in the suite. */
const rowCountMax = 5

/**
 * A bench for a model. A plugin that refuses it as it is, and can be trained, is trained on it first; what it learned is kept in memory
 * and written out again for every test.
 */
export const openPredictorBench = Effect.fnUntraced(function* (
  plugin: PredictorPlugin,
  given: Readonly<Record<string, unknown>>,
  model: Model,
  memory: TrainedMemory
) {
  const truth = openFfnTruth(model)
  const decoded: DecodedOptions = yield* decodeOptions(plugin, given)
  // Suspended: an effect that is run twice opens twice.
  const openWith = (options: DecodedOptions, of: Model) =>
    Effect.suspend(() => {
      const probe = of === model ? truth : openFfnTruth(of)
      return plugin.open(options, predictorContext(of, { probe, rowCountMax }))
    })
  const asItIs = yield* Effect.result(Effect.scoped(openWith(decoded, model)))
  const trains = asItIs._tag === "Failure" && plugin.train !== undefined
  const options = trains ? yield* trainOnce(plugin, decoded, model, truth, memory) : decoded
  const bench: PredictorBench = {
    plugin,
    options,
    model,
    truth,
    rowCountMax,
    open: ({ options: others = options, model: other = model } = {}) => openWith(others, other)
  }
  return bench
})

/** As the engine reads them: unknown ones are mistakes. */
export const decodeOptions = (plugin: PredictorPlugin, given: Readonly<Record<string, unknown>>) =>
  Schema.decodeUnknownEffect(plugin.options)(given, { onExcessProperty: "error" })

/** What a plugin has learned of one model, from test to test. */
export interface TrainedMemory {
  trained?: { readonly path: string; readonly bytes: Uint8Array; readonly options: DecodedOptions }
}

const trainOnce = Effect.fnUntraced(function* (
  plugin: PredictorPlugin,
  options: DecodedOptions,
  model: Model,
  truth: FfnTruth,
  memory: TrainedMemory
) {
  if (memory.trained === undefined) {
    const path = join(yield* temporaryFolder, "trained.bin")
    const learned = yield* Effect.scoped(plugin.train!(options, trainingContext(model, truth, 1, path)))
    check(existsSync(path), `trained, it was to write ${basename(path)} and wrote nothing there`)
    memory.trained = { path, bytes: readFileSync(path), options: learned }
    return learned
  }
  const { path, bytes, options: learned } = memory.trained
  const folder = dirname(path)
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(folder, { recursive: true })
      writeFileSync(path, bytes)
    }),
    () => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  return learned
})

/** A folder that goes with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "powerinfer-contract-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const trainingChunks = 8
const rowsPerChunk = 32

/** Training on seeded rows of the model: the same for every call, in buffers that the next rows overwrite. */
export const trainingContext = (model: Model, truth: FfnTruth, seed: number, out: string): TrainingContext => ({
  model,
  seed,
  out,
  announce: () => {},
  openPredictor: projectPredictors(() => predictorContext(model, { probe: truth, rowCountMax: rowsPerChunk })),
  rowCount: trainingChunks * rowsPerChunk,
  rows: function* (block) {
    const { hiddenWidth, ffnWidth } = model.shape
    const hidden = new Float32Array(rowsPerChunk * hiddenWidth)
    const activations = new Float32Array(rowsPerChunk * ffnWidth)
    const rows: TrainingRows = { rowCount: rowsPerChunk, hidden, activations }
    for (let chunk = 0; chunk < trainingChunks; chunk++) {
      const fresh = truth.hidden(block, rowsPerChunk, 1000 * block + chunk)
      hidden.set(fresh.values)
      truth.activations(block, fresh, activations)
      yield rows
    }
  }
})

/** The candidates as the engine finds them: it never asks a selector that proposes every neuron. */
export const selectInto = (
  selector: NeuronSelector,
  block: number,
  hidden: HiddenRows,
  active: NeuronSet,
  batch?: Batch
): void => {
  if (selector.proposes === "some") return selectStrangers(selector, block, hidden, active, batch)
  active.reset(hidden.rowCount)
  active.fill()
}

/** The set that a selector names: u32[row_count, words_per_row], in a set and on rows of its own. */
export const select = (
  selector: NeuronSelector,
  { model }: Pick<PredictorBench, "model">,
  block: number,
  hidden: HiddenRows
): Uint32Array => {
  const active = new NeuronSet(model.shape.ffnWidth, hidden.rowCount)
  selectInto(selector, block, copyRows(hidden), active)
  return active.words
}

/** The blocks that are looked at: of a large model, not all. */
export const blocksOf = ({ shape }: Model): ReadonlyArray<number> =>
  shape.blockCount === 1 ? [0] : [0, shape.blockCount - 1]
