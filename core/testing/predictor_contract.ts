// What must every predictor do?
import { Effect, type Scope } from "effect"
import type { Device } from "../backend.ts"
import { Batch, type HiddenRows } from "../batch.ts"
import type { Model } from "../model/model.ts"
import { NeuronSet } from "../neuron_set.ts"
import type { BackendPlugin, PredictorPlugin } from "../plugin.ts"
import { bindPlugin } from "../plugin_host/load_plugin.ts"
import type { NeuronSelector } from "../predictor.ts"
import { check, checkClose, type DefineTest } from "./assertions.ts"
import { openHome, runTokens } from "./direct_run.ts"
import { openTinyModel } from "./tiny_model.ts"

/** What the suite is given. */
export interface PredictorUnderTest {
  readonly test: DefineTest
  readonly plugin: PredictorPlugin
  /** Default: none. */
  readonly options?: Readonly<Record<string, unknown>>
  /** What its selector is expected to say; `select` of one that proposes `every` is never called. */
  readonly proposes: NeuronSelector["proposes"]
  /** Runs the models and answers the probe. */
  readonly backend: BackendPlugin
  /** Models that the predictor can serve; default: a gated and an ungated tiny ReLU model. */
  readonly models?: ReadonlyArray<readonly [name: string, model: Effect.Effect<Model, unknown, Scope.Scope>]>
}

interface Opened {
  readonly model: Model
  readonly home: Device
  readonly selector: NeuronSelector
}

const rowCountMax = 5
/** No multiple of 32: the last word of a set has bits that belong to no neuron. */
const oddWidth = { ffnWidth: 75 }
const tokens = [1, 40, 7, 200, 13]

/** Defines the tests of a predictor. */
export const predictorContract = (given: PredictorUnderTest): void => {
  const models = given.models ?? [
    ["gated", openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: oddWidth })],
    ["ungated", openTinyModel({ family: "opt", seed: 2, shape: oddWidth })]
  ]
  for (const [modelName, openModel] of models) {
    const define = (sentence: string, run: (opened: Opened) => Effect.Effect<void, unknown, Scope.Scope>) =>
      given.test(`${given.plugin.name} ${sentence} (${modelName})`, () =>
        Effect.runPromise(Effect.scoped(Effect.flatMap(openAll(given, openModel), run)) as Effect.Effect<void, unknown>)
      )

    define(`proposes ${given.proposes}`, ({ selector }) =>
      Effect.sync(() => check(selector.proposes === given.proposes, `it proposes ${selector.proposes}`))
    )

    define("gives finite logits, and those of the dense run if it is exact", (opened) => compareWithDense(opened))

    if (given.proposes === "every") continue

    define("selects inside the block, inside the batch, and leaves the hidden vectors alone", (opened) =>
      withHidden(opened, (hidden) => checkBounds(opened, hidden))
    )
    define("selects for a row what it selects for that row alone", (opened) =>
      withHidden(opened, (hidden) => checkRowsAlone(opened, hidden))
    )
  }
}

const openAll = Effect.fnUntraced(function* (
  { plugin, options = {}, backend }: PredictorUnderTest,
  openModel: Effect.Effect<Model, unknown, Scope.Scope>
) {
  const model = yield* openModel
  const home = yield* openHome(yield* bindPlugin(backend, {}), model, { rowCountMax, sparse: true })
  const predictor = yield* bindPlugin(plugin, options)
  const selector = yield* predictor.open({ model, probe: home, rowCountMax, announce: () => {} })
  return { model, home, selector }
})

const compareWithDense = Effect.fnUntraced(function* ({ model, home, selector }: Opened) {
  const dense = yield* runTokens(home, model, tokens, { rowCount: rowCountMax })
  const active = new NeuronSet(model.shape.ffnWidth, rowCountMax)
  const select = (block: number, hidden: HiddenRows): NeuronSet => {
    active.reset(hidden.rowCount)
    selector.select(block, hidden, active)
    return active
  }
  const logits = yield* runTokens(home, model, tokens, {
    rowCount: rowCountMax,
    confirms: selector.confirms && model.sparse,
    ...(selector.proposes === "some" && { select })
  })
  check(logits.every(Number.isFinite), "some logits are not finite")
  // Sums in another order differ by rounding; a neuron left out changes far more.
  if (selector.exact) checkClose(logits, dense, 1e-4, "logits")
})

/** Runs attention of every block, dense in between, and hands each block's hidden vectors to `use`. */
const withHidden = Effect.fnUntraced(function* (
  { model, home }: Opened,
  use: (hidden: HiddenRows) => (block: number) => void
) {
  const cache = yield* home.openCache(tokens.length, "f32")
  const batch = new Batch(rowCountMax)
  // One row fewer than there is room for: nobody may touch the last.
  for (const [position, token] of tokens.slice(0, -1).entries()) batch.add(token, position, cache, true)
  home.embed(batch)
  for (let block = 0; block < model.shape.blockCount; block++) {
    const hidden = home.attend(batch, block)
    use(hidden)(block)
    home.mergeFfn(block, [home.startFfn(block, hidden, undefined, false)])
  }
})

const checkBounds =
  ({ model, selector }: Opened, hidden: HiddenRows) =>
  (block: number): void => {
    const active = new NeuronSet(model.shape.ffnWidth, rowCountMax)
    const { wordsPerRow } = active
    const untouched = 0x5a5a5a5a
    active.words.fill(untouched)
    active.reset(hidden.rowCount)
    const before = hidden.values.slice()
    selector.select(block, hidden, active)

    check(active.rowCount === hidden.rowCount, `rowCount became ${active.rowCount}`)
    check(
      hidden.values.every((value, i) => Object.is(value, before[i])),
      "it wrote to the hidden vectors"
    )
    const beyond = active.words.subarray(hidden.rowCount * wordsPerRow)
    check(
      beyond.every((word) => word === untouched),
      "it wrote beyond the rows in use"
    )
    const lastNeuron = (model.shape.ffnWidth - 1) % 32
    for (let row = 1; row <= hidden.rowCount; row++) {
      // In two steps: a shift by 32 would be one by 0.
      const beyondLast = (active.words[row * wordsPerRow - 1]! >>> lastNeuron) >>> 1
      check(beyondLast === 0, `row ${row - 1} has neurons at ffn_width or above`)
    }
  }

const checkRowsAlone =
  ({ model, selector }: Opened, hidden: HiddenRows) =>
  (block: number): void => {
    const together = new NeuronSet(model.shape.ffnWidth, rowCountMax)
    together.reset(hidden.rowCount)
    selector.select(block, hidden, together)
    const alone = new NeuronSet(model.shape.ffnWidth, rowCountMax)
    for (let row = 0; row < hidden.rowCount; row++) {
      const values = hidden.values.slice(row * hidden.width, (row + 1) * hidden.width)
      alone.reset(1)
      selector.select(block, { rowCount: 1, width: hidden.width, values }, alone)
      for (let word = 0; word < together.wordsPerRow; word++) {
        const same = alone.words[word] === together.words[row * together.wordsPerRow + word]
        check(same, `block ${block}, row ${row}: other neurons around ${word * 32} than in a batch of its own`)
      }
    }
  }
