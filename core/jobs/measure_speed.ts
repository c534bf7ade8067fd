// How fast does a model run here, and how close is that to what the memory allows?
import { Effect } from "effect"
import type { CacheType, DeviceCounters } from "../backend.ts"
import { Batch, type CacheId } from "../batch.ts"
import { toEngineError } from "../engine/engine_error.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import { openForward } from "../engine/forward.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import { planCounters } from "../engine/plan_counters.ts"
import { PromptTooLong } from "../engine/request.ts"
import { SamplerOptions } from "../sampler/options.ts"
import { openSampler } from "../sampler/sampler.ts"

/** One way to run the model, under the name it is reported by. */
export interface SpeedSubject<E> {
  readonly name: string
  readonly plan: OpenPlan
  /** Bytes per second that the same threads read from memory. Subjects that share the effect share its measurement. */
  readonly measureBandwidth: Effect.Effect<number, E>
}

export interface SpeedOptions {
  readonly promptTokens: number
  readonly decodeTokens: number
  /** Timed passes of each subject; one more comes first and does not count. */
  readonly repetitions: number
  readonly cacheType: CacheType
  /** Of the text that is run. */
  readonly seed: number
}

/** Of several repetitions. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** What one subject did. */
export interface SpeedFigures {
  readonly name: string
  readonly fidelity: "exact" | "measured"
  readonly prefillTokensPerSecond: Spread
  readonly decodeTokensPerSecond: Spread
  /** Read per decoded token, at the mean depth of the decoded positions. */
  readonly weightBytesPerToken: number
  readonly cacheBytesPerToken: number
  /** Share of FFN neurons computed while decoding. */
  readonly activeShare: number
  /** Before, between and after the repetitions; the floor counts with the median, as rates do: shared machines lend bursts of bandwidth. */
  readonly bandwidthBytesPerSecond: Spread
  /** Weights of the dense model, once, and the KV cache. */
  readonly floorBytesPerToken: number
  /** Decoding no token can be faster without leaving out weights. */
  readonly floorTokensPerSecond: number
  /** Median decode rate over that floor: at most 1 for a dense run, above 1 where sparsity wins more than overhead costs. */
  readonly floorRatio: number
  /** Bytes that were read per second over the measured bandwidth: how busy the memory was. */
  readonly bandwidthShare: number
}

/**
 * Times prefill and decode of every subject on the same text, in turns, so that a disturbance does not hit one of them alone.
 *
 * The text is the model's own, drawn once: sparsity depends on what is read, and random ids are nothing the model was made for.
 *
 * - fails  `PromptTooLong` if the text does not fit the model's context, `NotEnoughMemory` or `BackendFailure` for the KV cache,
 *          `UnusableLogits` if the model is broken, and whatever `measureBandwidth` fails with
 */
export const measureSpeed = Effect.fnUntraced(function* <E>(
  subjects: ReadonlyArray<SpeedSubject<E>>,
  options: SpeedOptions
) {
  const [first] = subjects
  if (!first) return []
  const text = yield* writeText(first.plan, options)
  const bandwidths = new Set(subjects.map((subject) => subject.measureBandwidth))
  const samples = new Map([...bandwidths].map((measure) => [measure, new Array<number>()]))
  const sampleBandwidths = Effect.gen(function* () {
    for (const [measure, measured] of samples) measured.push(yield* measure)
  })

  for (const subject of subjects) yield* pass(subject.plan, text, options)
  yield* sampleBandwidths
  const passes = subjects.map((): Array<Pass> => [])
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    for (const [index, subject] of subjects.entries()) passes[index]!.push(yield* pass(subject.plan, text, options))
    yield* sampleBandwidths
  }
  return subjects.map((subject, index) =>
    figuresOf(subject, passes[index]!, spreadOf(samples.get(subject.measureBandwidth)!))
  )
})

interface Pass {
  readonly prefillTokensPerSecond: number
  readonly decodeTokensPerSecond: number
  readonly decoded: DeviceCounters
  readonly decodeTokens: number
}

/** The model's own continuation of nothing. Also touches every page of the weights once. */
const writeText = Effect.fnUntraced(function* (plan: OpenPlan, options: SpeedOptions) {
  const { contextLength, vocabularySize } = plan.model.shape
  const length = options.promptTokens + options.decodeTokens
  if (length > contextLength) return yield* new PromptTooLong({ promptTokens: length, contextLength })
  const sampler = openSampler(SamplerOptions.make({ seed: options.seed }), vocabularySize)
  const begin = plan.model.gguf.metadata.u32("tokenizer.ggml.bos_token_id", 0)
  const text = [begin < vocabularySize ? begin : 0]
  yield* withCache(plan, options, (cache) => {
    const run = openRows(plan, cache)
    return Effect.gen(function* () {
      while (text.length < length) {
        const { logits } = run(text, text.length - 1, text.length)
        text.push(yield* Effect.try({ try: () => sampler.sample(logits), catch: toEngineError }))
        yield* Effect.yieldNow
      }
    })
  })
  return text
})

const pass = (plan: OpenPlan, text: ReadonlyArray<number>, options: SpeedOptions) =>
  withCache(
    plan,
    options,
    Effect.fnUntraced(function* (cache) {
      const run = openRows(plan, cache)
      let prefillSeconds = 0
      for (let start = 0; start < options.promptTokens; start += plan.rowCountMax) {
        prefillSeconds += run(text, start, Math.min(start + plan.rowCountMax, options.promptTokens)).seconds
        // Lets an interruption in, here and below.
        yield* Effect.yieldNow
      }
      const before = planCounters(plan)
      let decodeSeconds = 0
      for (let position = options.promptTokens; position < text.length; position++) {
        decodeSeconds += run(text, position, position + 1).seconds
        yield* Effect.yieldNow
      }
      const result: Pass = {
        prefillTokensPerSecond: options.promptTokens / prefillSeconds,
        decodeTokensPerSecond: options.decodeTokens / decodeSeconds,
        decoded: difference(planCounters(plan), before),
        decodeTokens: options.decodeTokens
      }
      return result
    })
  )

const withCache = <A, E, R>(plan: OpenPlan, options: SpeedOptions, use: (cache: CacheId) => Effect.Effect<A, E, R>) =>
  Effect.scoped(
    Effect.flatMap(plan.home.openCache(options.promptTokens + options.decodeTokens, options.cacheType), use)
  )

/** Runs text[start, end) as one batch; the last row's logits, as when generating. */
const openRows = (plan: OpenPlan, cache: CacheId) => {
  const batch = new Batch(plan.rowCountMax)
  const forward = openForward(plan)
  return (text: ReadonlyArray<number>, start: number, end: number) => {
    batch.clear()
    for (let position = start; position < end; position++) {
      batch.add(text[position]!, position, cache, position === end - 1)
    }
    const begin = performance.now()
    const logits = forward(batch)!
    return { logits, seconds: (performance.now() - begin) / 1000 }
  }
}

const difference = (after: DeviceCounters, before: DeviceCounters): DeviceCounters => ({
  rowCount: after.rowCount - before.rowCount,
  weightBytes: after.weightBytes - before.weightBytes,
  ffnBytes: after.ffnBytes - before.ffnBytes,
  cacheBytes: after.cacheBytes - before.cacheBytes,
  neuronCount: after.neuronCount - before.neuronCount,
  neuronComputedCount: after.neuronComputedCount - before.neuronComputedCount
})

const figuresOf = (
  { name, plan }: SpeedSubject<never> | SpeedSubject<unknown>,
  passes: ReadonlyArray<Pass>,
  bandwidth: Spread
): SpeedFigures => {
  const perToken = (key: keyof DeviceCounters) =>
    passes.reduce((sum, { decoded }) => sum + decoded[key], 0) /
    passes.reduce((sum, { decodeTokens }) => sum + decodeTokens, 0)
  const decodeTokensPerSecond = spreadOf(passes.map((one) => one.decodeTokensPerSecond))
  const bytesPerSecond = bandwidth.median
  const weightBytesPerToken = perToken("weightBytes")
  const cacheBytesPerToken = perToken("cacheBytes")
  const floorBytesPerToken = sparsityFacts(plan.model).tokenBytes + cacheBytesPerToken
  const floorTokensPerSecond = bytesPerSecond / floorBytesPerToken
  return {
    name,
    fidelity: plan.selector.exact ? "exact" : "measured",
    prefillTokensPerSecond: spreadOf(passes.map((one) => one.prefillTokensPerSecond)),
    decodeTokensPerSecond,
    weightBytesPerToken,
    cacheBytesPerToken,
    activeShare: perToken("neuronComputedCount") / perToken("neuronCount"),
    bandwidthBytesPerSecond: bandwidth,
    floorBytesPerToken,
    floorTokensPerSecond,
    floorRatio: decodeTokensPerSecond.median / floorTokensPerSecond,
    bandwidthShare: (decodeTokensPerSecond.median * (weightBytesPerToken + cacheBytesPerToken)) / bytesPerSecond
  }
}

/** Of at least one value; the median of an even number is the mean of the two in the middle. */
export const spreadOf = (values: ReadonlyArray<number>): Spread => {
  const ordered = values.toSorted((a, b) => a - b)
  const half = (ordered.length - 1) / 2
  return {
    median: (ordered[Math.floor(half)]! + ordered[Math.ceil(half)]!) / 2,
    min: ordered[0]!,
    max: ordered.at(-1)!
  }
}
