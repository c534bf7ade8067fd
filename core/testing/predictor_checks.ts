// Does an opened predictor keep each promise of its contract? One function a promise; each throws what is wrong.
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HiddenRows } from "../batch.ts"
import { NeuronSet } from "../neuron_set.ts"
import { checkSelectorCalls } from "../plugin_host/check_calls.ts"
import { guardSelector } from "../plugin_host/guard.ts"
import type { NeuronSelector } from "../predictor.ts"
import { measureAllocation } from "./allocation.ts"
import { check } from "./assertions.ts"
import { copyRows } from "./direct_run.ts"
import { describeLeak, measureLeak } from "./held_resources.ts"
import { batchOfStrangers } from "./predictor_context.ts"
import { blocksOf, type PredictorBench, select, selectInto } from "./predictor_bench.ts"
import { openTinyModel } from "./tiny_model.ts"

/** A promise, checked on a bench. */
export type PredictorCheck = (bench: PredictorBench) => Effect.Effect<void, unknown, Scope.Scope>

const sameWords = (actual: Uint32Array, expected: Uint32Array): boolean =>
  actual.length === expected.length && actual.every((word, at) => word === expected[at])

/** A check of one selector, block by block. */
const onEachBlock = (run: (bench: PredictorBench, selector: NeuronSelector, block: number) => void): PredictorCheck =>
  Effect.fnUntraced(function* (bench) {
    const selector = yield* bench.open()
    for (const block of blocksOf(bench.model)) run(bench, selector, block)
  })

const batchSizes = ({ rowCountMax }: PredictorBench): ReadonlyArray<number> => [1, 2, rowCountMax]

/** What it says of itself when it opens is what it says ever after, and what another opening says. */
export const checkSelector: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const selector = yield* bench.open()
  // Throws where it is no selector at all.
  guardSelector(bench.plugin.name, selector)
  const said = words(selector)
  for (const block of blocksOf(bench.model)) select(selector, bench, block, bench.truth.hidden(block, 2, 1))
  check(words(selector) === said, `it opened as one that ${said}, after some calls it is one that ${words(selector)}`)
  const again = words(yield* bench.open())
  check(again === said, `it opened as one that ${said}, then as one that ${again}`)
})

const words = ({ proposes, confirms, exact }: NeuronSelector): string =>
  `proposes ${proposes}, ${confirms ? "confirms" : "does not confirm"} and ${exact ? "is exact" : "is not exact"}`

/** Only neurons of the block, only rows of the batch. An `add` out of range throws, and what is thrown ends the check. */
export const checkRange: PredictorCheck = onEachBlock((bench, opened, block) => {
  const { name } = bench.plugin
  const { shape } = bench.model
  const selector = guardSelector(name, checkSelectorCalls(name, shape, opened))
  for (const rowCount of batchSizes(bench)) {
    selectInto(selector, block, bench.truth.hidden(block, rowCount, rowCount), new NeuronSet(shape.ffnWidth, rowCount))
  }
})

/** The ids that it named, added one by one and backwards, give the same words: nothing else is in them. */
export const checkOrder: PredictorCheck = onEachBlock((bench, selector, block) => {
  const { ffnWidth } = bench.model.shape
  const rowCount = bench.rowCountMax
  const named = new NeuronSet(ffnWidth, rowCount)
  selectInto(selector, block, bench.truth.hidden(block, rowCount, 3), named)
  const rebuilt = new NeuronSet(ffnWidth, rowCount)
  rebuilt.reset(rowCount)
  for (let row = rowCount - 1; row >= 0; row--) {
    for (let neuron = ffnWidth - 1; neuron >= 0; neuron--) if (named.has(row, neuron)) rebuilt.add(row, neuron)
  }
  check(sameWords(named.words, rebuilt.words), `block ${block}: its words hold more than the neurons it named`)
})

/** The hidden vectors are as they were: the device reads them next. */
export const checkHiddenUntouched: PredictorCheck = onEachBlock((bench, selector, block) => {
  for (const rowCount of batchSizes(bench)) {
    const hidden = bench.truth.hidden(block, rowCount, 4)
    const before = copyRows(hidden)
    selectInto(selector, block, hidden, new NeuronSet(bench.model.shape.ffnWidth, rowCount))
    const changed = hidden.values.findIndex((value, at) => !Object.is(value, before.values[at]))
    check(changed < 0, `block ${block}: it wrote ${hidden.values[changed]} to value ${changed} of the hidden vectors`)
  }
})

/** Buffers of an earlier call, spoiled since, change nothing of a later call; and a later call changes nothing in them. */
export const checkNothingKept: PredictorCheck = onEachBlock((bench, selector, block) => {
  const { ffnWidth } = bench.model.shape
  const rowCount = 2
  const rows = bench.truth.hidden(block, rowCount, 5)
  const lent = copyRows(rows)
  const lentSet = new NeuronSet(ffnWidth, rowCount)
  selectInto(selector, block, lent, lentSet)
  const first = lentSet.words.slice()
  lent.values.fill(Number.NaN)
  lentSet.reset(rowCount)
  const second = select(selector, bench, block, rows)
  check(
    sameWords(second, first),
    `block ${block}: it looks at hidden vectors or a set that it was lent in an earlier call`
  )
  check(
    lentSet.words.every((word) => word === 0),
    `block ${block}: it wrote to the set that it was lent in an earlier call`
  )
  const spoiled = lent.values.findIndex((value) => !Number.isNaN(value))
  check(spoiled < 0, `block ${block}: it wrote to hidden vectors that it was lent in an earlier call`)
})

/** The same rows give the same set: in this opening, after other rows, and in the next. */
export const checkDeterminism: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const first = yield* Effect.scoped(Effect.map(bench.open(), (selector) => selectTwice(bench, selector)))
  const second = yield* Effect.scoped(Effect.map(bench.open(), (selector) => selectTwice(bench, selector)))
  for (const [at, block] of blocksOf(bench.model).entries()) {
    check(sameWords(first[at]!, second[at]!), `block ${block}: another opening names other neurons for the same rows`)
  }
})

const selectTwice = (bench: PredictorBench, selector: NeuronSelector): ReadonlyArray<Uint32Array> =>
  blocksOf(bench.model).map((block) => {
    const rows = bench.truth.hidden(block, bench.rowCountMax, 6)
    const first = select(selector, bench, block, rows)
    const again = select(selector, bench, block, rows)
    select(selector, bench, block, bench.truth.hidden(block, 1, 7))
    const afterOthers = select(selector, bench, block, rows)
    const same = sameWords(again, first) && sameWords(afterOthers, first)
    check(same, `block ${block}: it names other neurons when it sees the same rows again`)
    return first
  })

/** A row's neurons do not depend on the rows beside it. */
export const checkRowsAlone: PredictorCheck = onEachBlock((bench, selector, block) => {
  for (const rowCount of batchSizes(bench)) {
    const hidden = bench.truth.hidden(block, rowCount, 8)
    const together = select(selector, bench, block, hidden)
    const wordsPerRow = together.length / rowCount
    for (let row = 0; row < rowCount; row++) {
      const alone = select(selector, bench, block, rowOf(hidden, row))
      const inBatch = together.subarray(row * wordsPerRow, (row + 1) * wordsPerRow)
      check(
        sameWords(inBatch, alone),
        `block ${block}: row ${row} of ${rowCount} gets other neurons in a batch than alone`
      )
    }
  }
})

const rowOf = ({ width, values }: HiddenRows, row: number): HiddenRows => ({
  rowCount: 1,
  width,
  values: values.slice(row * width, (row + 1) * width)
})

/** An activation nearer to zero than this may come out as zero in another order of summation. */
const firesAbove = 1e-5

/** Who says that it is exact leaves out no neuron that fires. */
export const checkExactness: PredictorCheck = onEachBlock((bench, selector, block) => {
  if (!selector.exact) return
  const { ffnWidth } = bench.model.shape
  const rowCount = bench.rowCountMax
  const hidden = bench.truth.hidden(block, rowCount, 9)
  const named = new NeuronSet(ffnWidth, rowCount)
  selectInto(selector, block, hidden, named)
  const activations = new Float32Array(rowCount * ffnWidth)
  bench.truth.activations(block, hidden, activations)
  for (let row = 0; row < rowCount; row++) {
    for (let neuron = 0; neuron < ffnWidth; neuron++) {
      const activation = activations[row * ffnWidth + neuron]!
      const left = Math.abs(activation) > firesAbove && !named.has(row, neuron)
      check(!left, `block ${block}: it is exact and leaves out neuron ${neuron}, whose activation is ${activation}`)
    }
  }
})

/** Two openings share nothing that a call changes, and closing one leaves the other at work. */
export const checkIndependence: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const block = bench.model.shape.blockCount - 1
  const rows = [10, 11].map((seed) => bench.truth.hidden(block, bench.rowCountMax, seed))
  const one = yield* bench.open()
  const alone = select(one, bench, block, rows[0]!)
  const whileOpen = yield* Effect.scoped(
    Effect.map(bench.open(), (other) => {
      select(other, bench, block, rows[1]!)
      const beside = select(one, bench, block, rows[0]!)
      return { beside, other: select(other, bench, block, rows[0]!) }
    })
  )
  check(sameWords(whileOpen.beside, alone), "it names other neurons while another of its kind is at work")
  check(sameWords(whileOpen.other, alone), "the second of two that are open names other neurons than the first")
  const afterwards = select(one, bench, block, rows[0]!)
  check(sameWords(afterwards, alone), "it names other neurons once another of its kind has been closed")
})

/** Closing is not the end of the plugin. */
export const checkReopening: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const use = Effect.scoped(
    Effect.map(bench.open(), (selector) => void select(selector, bench, 0, bench.truth.hidden(0, 1, 12)))
  )
  yield* use
  yield* use
})

/** What opening acquires, closing gives back. */
export const checkLeak: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const rows = bench.truth.hidden(0, 1, 13)
  const active = new NeuronSet(bench.model.shape.ffnWidth, 1)
  const cycle = Effect.scoped(Effect.map(bench.open(), (selector) => selectInto(selector, 0, rows, active)))
  const left = describeLeak(yield* measureLeak(cycle))
  check(left === undefined, `each opening leaves ${left} behind after it was closed`)
})

/** A model of other widths is served, or refused by the error that is meant for it. */
export const checkOtherShape: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const model = yield* openTinyModel({
    family: "llama",
    seed: 3,
    activation: "relu",
    shape: { blockCount: bench.model.shape.blockCount + 1, hiddenWidth: 32, ffnWidth: 40, headCount: 2 }
  })
  const opened = yield* Effect.result(bench.open({ model }))
  if (opened._tag === "Success") {
    const hidden: HiddenRows = { rowCount: 1, width: 32, values: new Float32Array(32).fill(0.5) }
    const selector = guardSelector(bench.plugin.name, opened.success)
    return selectInto(selector, 0, hidden, new NeuronSet(40, 1))
  }
  const { failure } = opened
  check(
    failure._tag === "PredictorMismatch",
    `it refuses a model of another shape with ${failure._tag} (${failure.message}); PredictorMismatch is for that`
  )
})

/** The token loop calls it for every block of every token: blocks take turns here too. */
export const checkAllocation: PredictorCheck = Effect.fnUntraced(function* (bench) {
  const selector = yield* bench.open()
  const active = new NeuronSet(bench.model.shape.ffnWidth, 2)
  const blocks = blocksOf(bench.model).map((block) => ({ block, hidden: bench.truth.hidden(block, 2, 14) }))
  const batch = batchOfStrangers(2)
  let turn = 0
  const { objects, bytes } = measureAllocation(() => {
    const { block, hidden } = blocks[turn]!
    turn = (turn + 1) % blocks.length
    selectInto(selector, block, hidden, active, batch)
  })!
  const amount =
    objects === undefined
      ? `${Math.round(bytes)} bytes`
      : `${objects} objects of about ${Math.round(bytes)} bytes together`
  check(bytes === 0, `a call of select allocates ${amount}; make its buffers when it opens`)
})
