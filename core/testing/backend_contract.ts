// What must every backend do?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Device } from "../backend.ts"
import { Batch, type HiddenRows } from "../batch.ts"
import type { QuantizableTypeName } from "../gguf/quantize.ts"
import type { Model } from "../model/model.ts"
import { NeuronSet } from "../neuron_set.ts"
import type { BackendPlugin } from "../plugin.ts"
import { bindPlugin } from "../plugin_host/load_plugin.ts"
import { randomFromSeed } from "../sampler/random.ts"
import { check, checkClose, type DefineTest, largestError } from "./assertions.ts"
import {
  checkBorrowedBuffers,
  checkCacheLeak,
  checkCacheScope,
  checkDeterminism,
  checkDeviceLeak,
  checkImpossibleCache,
  checkUnsuitedCache
} from "./backend_checks.ts"
import { copyRows, openHome, runBatch, runTokens } from "./direct_run.ts"
import type { ErrorFigure } from "./error_figures.ts"
import { checkUnknownOption } from "./option_check.ts"
import type { TinyFamily } from "./tiny_families.ts"
import { openTinyModel, type TinyModel } from "./tiny_model.ts"

/** What the suite is given. */
export interface BackendUnderTest {
  readonly test: DefineTest
  readonly plugin: BackendPlugin
  /** Default: none. */
  readonly options?: Readonly<Record<string, unknown>>
  /** The reference backend, or another that is trusted. */
  readonly oracle: BackendPlugin
  /** Weight types to try; default: all that can be written. */
  readonly types?: ReadonlyArray<QuantizableTypeName>
  /** Largest error against the oracle, in standard deviations; default 1e-4, rounding of float32 sums. */
  readonly tolerance?: (type: QuantizableTypeName) => number
  /** Is told the error of every comparison with the oracle; `largestErrors` keeps the largest of each operation and type. */
  readonly report?: (figure: ErrorFigure) => void
}

/**
 * The tolerance for backends that multiply codes of the activations where weights are quantized.
 *
 * Float types multiply float32 activations and differ from the oracle by the rounding of sums. Quantized ones multiply activations that are
 * rounded to 8 bits themselves: up to 1/254 of the largest of 32 values. Through two blocks of random weights the worst of 6,000 logits was
 * 0.10 standard deviations off, for Q8_0 as for Q4_0; a wrong scale or code shows as 1 to 7.
 */
export const toleratingCodes = (type: QuantizableTypeName): number =>
  type === "F32" || type === "F16" || type === "BF16" ? f32Tolerance : 0.2

interface Pair {
  readonly model: Model
  readonly device: Device
  readonly oracle: Device
  /** Throws unless `actual` is near enough to what the oracle says; reports how near. */
  readonly compare: (operation: string, actual: Float32Array, expected: Float32Array) => void
}

const families: ReadonlyArray<TinyFamily> = ["llama", "bamboo", "opt", "falcon", "qwen2", "qwen3", "smallthinker"]
const allTypes: ReadonlyArray<QuantizableTypeName> = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"]
const gated: TinyModel = { family: "llama", seed: 11, activation: "relu" }
const ungated: TinyModel = { family: "opt", seed: 12 }
/** A cache of it is large. */
const deep: TinyModel = { ...gated, shape: { blockCount: 8, kvHeadCount: 4 } }
const rowCountMax = 64
const f32Tolerance = 1e-4

/** Defines the tests of a backend: each operation and whole runs against the oracle, then what only a backend itself can promise. */
export const backendContract = (given: BackendUnderTest): void => {
  const define = (sentence: string, spec: TinyModel, run: (pair: Pair) => Effect.Effect<void, unknown, Scope.Scope>) =>
    given.test(`${given.plugin.name} ${sentence}`, () =>
      Effect.runPromise(Effect.scoped(Effect.flatMap(openPair(given, spec), run)) as Effect.Effect<void, unknown>)
    )

  for (const family of families) {
    define(`runs ${family} as the oracle does`, { family, seed: 1 }, (pair) => compareRuns(pair, "run", {}))
  }
  for (const type of given.types ?? allTypes) {
    define(`runs ${type} weights as the oracle does, dense and confirming`, { ...gated, type }, (pair) =>
      Effect.andThen(compareRuns(pair, "run", {}), compareRuns(pair, "run, confirming", { confirms: true }))
    )
    define(
      `runs ${type} weights with down by neuron as the oracle does`,
      { ...gated, type, downByNeuron: true },
      (pair) => compareRuns(pair, "run, down by neuron", { confirms: true })
    )
    define(`agrees with the oracle stage by stage (${type} weights)`, { ...gated, type }, compareStages)
  }
  for (const [name, spec] of [
    ["gated", gated],
    ["ungated", ungated]
  ] as const) {
    define(`agrees with the oracle stage by stage (${name})`, { ...spec, shape: { ffnWidth: 75 } }, compareStages)
    define(`counts only neurons that fire when it confirms (${name})`, spec, countWhenConfirming)
    define(`gives the same FFN from two devices with half the neurons each (${name})`, spec, (pair) =>
      compareSplit(given, pair)
    )
  }
  define("agrees with itself at batch sizes 1, 7 and 64", gated, compareBatchSizes)
  define("keeps the sessions of one batch apart", gated, compareSessions)
  define("counts rows, bytes and neurons, and never back", gated, checkCounters)
  define("rounds an F16 cache, slightly", gated, compareCacheTypes)
  define("refuses a Q8_0 cache for heads that are not whole blocks of 32", gated, checkUnsuitedCache)
  define("refuses a cache that no memory holds with NotEnoughMemory", deep, checkImpossibleCache)
  define("refuses a cache after its scope has closed", gated, checkCacheScope)
  define("frees a cache with its scope", gated, checkCacheLeak)
  define("gives the same bits when it runs the same again, and after another opening", gated, (pair) =>
    checkDeterminism(pair, openAlone(given, pair.model))
  )
  define("leaves what it is lent as it is, and answers in the sizes that are asked for", gated, (pair) =>
    checkBorrowedBuffers(pair)
  )
  given.test(`${given.plugin.name} refuses an option that it does not have`, () =>
    Effect.runPromise(checkUnknownOption(given.plugin, given.options ?? {}))
  )
  define("leaves nothing behind when it is opened and closed many times", gated, ({ model }) =>
    checkDeviceLeak(model, openAlone(given, model))
  )
}

/** A device of its own. */
const openAlone = (given: BackendUnderTest, model: Model) =>
  Effect.flatMap(bindPlugin(given.plugin, given.options ?? {}), (backend) =>
    openHome(backend, model, { rowCountMax, sparse: true })
  )

const openPair = Effect.fnUntraced(function* (given: BackendUnderTest, spec: TinyModel) {
  const model = yield* openTinyModel(spec)
  const options = { rowCountMax, sparse: true }
  const device = yield* openHome(yield* bindPlugin(given.plugin, given.options ?? {}), model, options)
  const oracle = yield* openHome(yield* bindPlugin(given.oracle, {}), model, options)
  const type = spec.type ?? "F32"
  const limit = given.tolerance?.(type) ?? f32Tolerance
  const pair: Pair = {
    model,
    device,
    oracle,
    compare: (operation, actual, expected) => {
      given.report?.({ operation, type, error: largestError(actual, expected), limit })
      checkClose(actual, expected, limit, operation)
    }
  }
  return pair
})

/** Seeded tokens: enough for three batches of 7 and a rest. */
const tokensOf = (model: Model, count = 24): ReadonlyArray<number> => {
  const random = randomFromSeed(99)
  return Array.from({ length: count }, () => random.nextU32() % model.shape.vocabularySize)
}

const compareRuns = Effect.fnUntraced(function* (
  { model, device, oracle, compare }: Pair,
  what: string,
  ffn: { readonly confirms?: boolean }
) {
  const tokens = tokensOf(model)
  const actual = yield* runTokens(device, model, tokens, { rowCount: 7, ...ffn })
  const expected = yield* runTokens(oracle, model, tokens, { rowCount: 7 })
  compare(what, actual, expected)
})

/** A seeded third of the neurons, other ones for every row. */
const someNeurons = (model: Model, rowCount: number): NeuronSet => {
  const random = randomFromSeed(7)
  const active = new NeuronSet(model.shape.ffnWidth, rowCountMax)
  active.reset(rowCount)
  for (let row = 0; row < rowCount; row++) {
    for (let neuron = 0; neuron < model.shape.ffnWidth; neuron++) {
      if (random.nextU32() % 3 === 0) active.add(row, neuron)
    }
  }
  return active
}

const openBatch = Effect.fnUntraced(function* (device: Device, tokens: ReadonlyArray<number>) {
  const cache = yield* device.openCache(tokens.length, "f32")
  const batch = new Batch(rowCountMax)
  for (const [position, token] of tokens.entries()) batch.add(token, position, cache, true)
  return batch
})

/** The first block of one batch, every operation on its own. A partial that stays on the device is judged after merging. */
const compareStages = Effect.fnUntraced(function* ({ model, device, oracle, compare }: Pair) {
  const tokens = tokensOf(model, 9)
  const { ffnWidth } = model.shape
  const active = someNeurons(model, tokens.length)
  const nobody = new NeuronSet(ffnWidth, rowCountMax)
  nobody.reset(tokens.length)
  const ways = [
    ["all neurons", undefined, false],
    ["all neurons, confirming", undefined, true],
    ["some neurons", active, false],
    ["some neurons, confirming", active, true],
    ["no neuron", nobody, false]
  ] as const
  for (const [what, set, confirms] of ways) {
    const [ours, theirs] = [yield* openBatch(device, tokens), yield* openBatch(oracle, tokens)]
    device.embed(ours)
    oracle.embed(theirs)
    const [hidden, expectedHidden] = [device.attend(ours, 0), oracle.attend(theirs, 0)]
    compare("attend", copyRows(hidden).values, copyRows(expectedHidden).values)

    const [actual, expected] = [0, 0].map(() => new Float32Array(tokens.length * ffnWidth))
    device.activations(0, hidden, actual!)
    oracle.activations(0, expectedHidden, expected!)
    compare("activations", actual!, expected!)

    const [partial, expectedPartial] = [
      device.startFfn(0, hidden, set, confirms),
      oracle.startFfn(0, expectedHidden, set, confirms)
    ]
    device.mergeFfn(0, [partial])
    oracle.mergeFfn(0, [expectedPartial])
    compare(`ffn of ${what}`, device.logits(ours).slice(), oracle.logits(theirs).slice())
  }
})

const countWhenConfirming = Effect.fnUntraced(function* ({ model, device }: Pair) {
  const tokens = tokensOf(model, 5)
  const batch = yield* openBatch(device, tokens)
  device.embed(batch)
  const hidden = device.attend(batch, 0)
  const activations = new Float32Array(tokens.length * model.shape.ffnWidth)
  device.activations(0, hidden, activations)
  const firing = activations.filter((activation) => activation !== 0).length
  check(firing > 0 && firing < activations.length, `${firing} of ${activations.length} neurons fire: no test`)

  const atStart = device.counters()
  device.startFfn(0, hidden, undefined, true).wait()
  const confirmed = device.counters()
  device.startFfn(0, hidden, undefined, false).wait()
  const dense = device.counters()
  const computed = confirmed.neuronComputedCount - atStart.neuronComputedCount
  check(computed === firing, `${computed} neurons were computed, ${firing} fire`)
  const denseComputed = dense.neuronComputedCount - confirmed.neuronComputedCount
  check(
    denseComputed === activations.length,
    `${denseComputed} of ${activations.length} neurons were computed when dense`
  )
})

/** Even neurons on the home, odd ones on a second device of the same kind. */
const compareSplit = Effect.fnUntraced(function* (given: BackendUnderTest, { model, oracle, compare }: Pair) {
  const backend = yield* bindPlugin(given.plugin, given.options ?? {})
  const { blockCount, ffnWidth } = model.shape
  const wordCount = Math.ceil(ffnWidth / 32)
  const shares = [0x55555555, 0xaaaaaaaa].map((bits) => new Uint32Array(wordCount).fill(bits))
  const [home, other] = yield* Effect.forEach(shares, (share, index) =>
    backend.open({
      model,
      shares: Array.from({ length: blockCount }, () => share),
      home: index === 0,
      rowCountMax,
      sparse: true,
      candidates: "some",
      announce: () => {}
    })
  )
  const parts = [0, 1].map(() => new NeuronSet(ffnWidth, rowCountMax))
  const everything = new NeuronSet(ffnWidth, rowCountMax)
  const tokens = tokensOf(model)
  const expected = yield* runTokens(oracle, model, tokens, { rowCount: 7 })
  for (const confirms of [false, true]) {
    const partials = (block: number, hidden: HiddenRows) => {
      everything.reset(hidden.rowCount)
      everything.fill()
      return [home!, other!].map((device, index) => {
        parts[index]!.intersect(everything, shares[index]!)
        return device.startFfn(block, hidden, parts[index]!, confirms)
      })
    }
    const actual = yield* runTokens(home!, model, tokens, { rowCount: 7, partials })
    compare(confirms ? "run, divided, confirming" : "run, divided", actual, expected)
  }
})

const compareBatchSizes = Effect.fnUntraced(function* ({ model, device }: Pair) {
  const tokens = tokensOf(model, 64)
  const expected = yield* runTokens(device, model, tokens, { rowCount: 64 })
  for (const rowCount of [1, 7]) {
    const actual = yield* runTokens(device, model, tokens, { rowCount })
    checkClose(actual, expected, f32Tolerance, `logits at batch size ${rowCount}`)
  }
})

/** Two sessions, interleaved row by row in one batch, against each in batches of its own. */
const compareSessions = Effect.fnUntraced(function* ({ model, device }: Pair) {
  const { blockCount, vocabularySize } = model.shape
  const tokens = tokensOf(model, 16)
  const texts = [tokens.slice(0, 9), tokens.slice(9)]
  const caches = yield* Effect.forEach(texts, (text) => device.openCache(text.length, "f32"))
  const batch = new Batch(rowCountMax)
  const rowsOf: ReadonlyArray<Array<number>> = [[], []]
  for (let position = 0; position < 9; position++) {
    for (const [session, text] of texts.entries()) {
      const token = text[position]
      if (token !== undefined) rowsOf[session]!.push(batch.add(token, position, caches[session]!, true))
    }
  }
  const together = runBatch(device, blockCount, batch).slice()
  for (const [session, text] of texts.entries()) {
    const alone = yield* runTokens(device, model, text, { rowCount: 9 })
    const actual = new Float32Array(alone.length)
    for (const [position, row] of rowsOf[session]!.entries()) {
      actual.set(together.subarray(row * vocabularySize, (row + 1) * vocabularySize), position * vocabularySize)
    }
    checkClose(actual, alone, f32Tolerance, `logits of session ${session}`)
  }
})

const checkCounters = Effect.fnUntraced(function* ({ model, device }: Pair) {
  const tokens = tokensOf(model, 8)
  let before = device.counters()
  for (const confirms of [false, true]) {
    yield* runTokens(device, model, tokens, { rowCount: 4, confirms })
    const after = device.counters()
    for (const [name, value] of Object.entries(after)) {
      const earlier = before[name as keyof typeof before]
      check(value > earlier, `${name} went from ${earlier} to ${value}`)
    }
    check(after.rowCount - before.rowCount === tokens.length, `${after.rowCount - before.rowCount} rows were counted`)
    const neurons = after.neuronCount - before.neuronCount
    const expected = tokens.length * model.shape.blockCount * model.shape.ffnWidth
    check(neurons === expected, `${neurons} neurons were counted, not ${expected}`)
    check(after.weightBytes - before.weightBytes > after.ffnBytes - before.ffnBytes, "only FFN bytes were counted")
    before = after
  }
})

const compareCacheTypes = Effect.fnUntraced(function* ({ model, device }: Pair) {
  const tokens = tokensOf(model)
  const exact = yield* runTokens(device, model, tokens, { rowCount: 7, cacheType: "f32" })
  const rounded = yield* runTokens(device, model, tokens, { rowCount: 7, cacheType: "f16" })
  checkClose(rounded, exact, 1e-2, "logits with an F16 cache")
  check(
    rounded.some((logit, i) => logit !== exact[i]),
    "the cache types give equal logits: F16 was not rounded"
  )
})
