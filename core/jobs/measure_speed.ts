// How fast does a model run here, and how close is that to what the memory allows?
import * as Effect from "effect/Effect"
import type { CacheType } from "../backend.ts"
import { Batch, type CacheId } from "../batch.ts"
import { type EngineError, toEngineError } from "../engine/engine_error.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import { openForward } from "../engine/forward.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import { type PlanCounters, planCounters } from "../engine/plan_counters.ts"
import type { Profile } from "../engine/profiler.ts"
import { PromptTooLong } from "../engine/request.ts"
import { openCache } from "../engine/session.ts"
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

/** What a benchmark says about one way to run a model. */
export interface SpeedFigures {
  readonly prefillTokensPerSecond: Spread
  readonly decodeTokensPerSecond: Spread
  /** Read per decoded token, at the mean depth of the decoded positions. */
  readonly weightBytesPerToken: number
  readonly cacheBytesPerToken: number
  /** Share of FFN neurons computed while decoding. */
  readonly activeShare: number
  /** Around the repetitions; the floor counts with the median, as rates do: shared machines lend bursts of bandwidth. */
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

/** What one subject did. */
export interface SubjectFigures extends SpeedFigures {
  readonly name: string
  readonly fidelity: "exact" | "measured"
  /** Of the timed passes, if the plan was opened to be profiled. */
  readonly profile?: Profile
}

/** One prefill and one decode of the text. */
export interface SpeedPass {
  readonly prefillTokensPerSecond: number
  readonly decodeTokensPerSecond: number
  /** Read per decoded token; of the weights, `predictorBytesPerToken` are the predictor's own. */
  readonly weightBytesPerToken: number
  readonly predictorBytesPerToken: number
  readonly cacheBytesPerToken: number
  readonly activeShare: number
}

/**
 * Times prefill and decode of every subject on the same text, in turns, so that a disturbance does not hit one of them alone.
 *
 * The text is the model's own, drawn once: sparsity depends on what is read, and random ids are nothing the model was made for.
 *
 * - fails  `PromptTooLong` if the text does not fit the model's context, `NotEnoughMemory`, `CacheTypeUnsuited` or `BackendFailure`
 *          for the KV cache, `UnusableLogits` if the model is broken, and whatever `measureBandwidth` fails with
 */
export const measureSpeed = Effect.fnUntraced(function* <E>(
  subjects: ReadonlyArray<SpeedSubject<E>>,
  options: SpeedOptions
) {
  const [first] = subjects
  if (!first) return []
  const text = yield* writeSpeedText(first.plan, { ...options, length: options.promptTokens + options.decodeTokens })
  const bandwidths = new Set(subjects.map((subject) => subject.measureBandwidth))
  const samples = new Map([...bandwidths].map((measure) => [measure, new Array<number>()]))
  const sampleBandwidths = Effect.gen(function* () {
    for (const [measure, measured] of samples) measured.push(yield* measure)
  })

  for (const { plan } of subjects) yield* runSpeedPass(plan, text, options)
  for (const { plan } of subjects) plan.profiler?.start()
  yield* sampleBandwidths
  const passes = subjects.map((): Array<SpeedPass> => [])
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    for (const [index, { plan }] of subjects.entries()) passes[index]!.push(yield* runSpeedPass(plan, text, options))
    yield* sampleBandwidths
  }
  return subjects.map(({ name, plan, measureBandwidth }, index): SubjectFigures => {
    const { tokenBytes } = sparsityFacts(plan.model)
    const fidelity = plan.selector.exact ? "exact" : "measured"
    return {
      name,
      fidelity,
      ...speedFigures(tokenBytes, passes[index]!, samples.get(measureBandwidth)!),
      ...(plan.profiler && { profile: plan.profiler.read() })
    }
  })
})

/**
 * The model's own continuation of nothing, `length` tokens long. Also touches every page of the weights once.
 *
 * - fails  as `measureSpeed` does
 */
export const writeSpeedText = Effect.fnUntraced(function* (
  plan: OpenPlan,
  options: { readonly length: number; readonly cacheType: CacheType; readonly seed: number }
): Effect.fn.Return<ReadonlyArray<number>, EngineError> {
  const { length, cacheType } = options
  const { contextLength, vocabularySize } = plan.model.shape
  if (length > contextLength) return yield* new PromptTooLong({ promptTokens: length, contextLength })
  const sampler = openSampler(SamplerOptions.make({ seed: options.seed }), vocabularySize)
  const begin = plan.model.gguf.metadata.u32("tokenizer.ggml.bos_token_id", 0)
  const text = [begin < vocabularySize ? begin : 0]
  yield* withCache(plan, length, cacheType, (cache) => {
    const run = openRows(plan, cache)
    return Effect.gen(function* () {
      while (text.length < length) {
        const { logits } = run(text, text.length - 1, text.length, true)
        text.push(yield* Effect.try({ try: () => sampler.sample(logits), catch: toEngineError }))
        yield* Effect.yieldNow
      }
    })
  })
  return text
})

/** Runs the text from an empty KV cache: `promptTokens` of it as a prompt, in batches, and the rest one token at a time. */
export const runSpeedPass = (
  plan: OpenPlan,
  text: ReadonlyArray<number>,
  { promptTokens, cacheType }: { readonly promptTokens: number; readonly cacheType: CacheType }
) =>
  withCache(
    plan,
    text.length,
    cacheType,
    Effect.fnUntraced(function* (cache) {
      const run = openRows(plan, cache)
      let prefillSeconds = 0
      for (let start = 0; start < promptTokens; start += plan.rowCountMax) {
        const end = Math.min(start + plan.rowCountMax, promptTokens)
        prefillSeconds += run(text, start, end, end === promptTokens, true).seconds
        // Lets an interruption in, here and below.
        yield* Effect.yieldNow
      }
      const before = planCounters(plan)
      let decodeSeconds = 0
      for (let position = promptTokens; position < text.length; position++) {
        decodeSeconds += run(text, position, position + 1, true).seconds
        yield* Effect.yieldNow
      }
      const after = planCounters(plan)
      const decoded = (key: keyof PlanCounters) => after[key] - before[key]
      const decodeTokens = text.length - promptTokens
      const result: SpeedPass = {
        prefillTokensPerSecond: promptTokens / prefillSeconds,
        decodeTokensPerSecond: decodeTokens / decodeSeconds,
        weightBytesPerToken: decoded("weightBytes") / decodeTokens,
        predictorBytesPerToken: decoded("predictorBytes") / decodeTokens,
        cacheBytesPerToken: decoded("cacheBytes") / decodeTokens,
        activeShare: decoded("neuronComputedCount") / decoded("neuronCount")
      }
      return result
    })
  )

const withCache = <A, E, R>(
  plan: OpenPlan,
  positionCount: number,
  cacheType: CacheType,
  use: (cache: CacheId) => Effect.Effect<A, E, R>
) => Effect.scoped(Effect.flatMap(openCache(plan, positionCount, cacheType), use))

/** Runs text[start, end) as one batch; logits of the last row, if they are wanted: a generation wants those of its prompt's last token only. */
const openRows = (plan: OpenPlan, cache: CacheId) => {
  const batch = new Batch(plan.rowCountMax)
  const forward = openForward(plan)
  return (text: ReadonlyArray<number>, start: number, end: number, wantsLogits: boolean, isPrompt = false) => {
    batch.clear()
    for (let position = start; position < end; position++) {
      batch.add(text[position]!, position, cache, wantsLogits && position === end - 1, isPrompt)
    }
    const begin = performance.now()
    const logits = forward(batch)!
    return { logits, seconds: (performance.now() - begin) / 1000 }
  }
}

/**
 * What several passes of one subject amount to.
 *
 * - `tokenBytes`  weights that a dense token reads (`sparsityFacts`)
 * - `bandwidths`  bytes per second, measured around the passes
 */
export const speedFigures = (
  tokenBytes: number,
  passes: ReadonlyArray<SpeedPass>,
  bandwidths: ReadonlyArray<number>
): SpeedFigures => {
  const mean = (key: keyof SpeedPass) => passes.reduce((sum, pass) => sum + pass[key], 0) / passes.length
  const decodeTokensPerSecond = spreadOf(passes.map((pass) => pass.decodeTokensPerSecond))
  const bandwidth = spreadOf(bandwidths)
  const weightBytesPerToken = mean("weightBytesPerToken")
  const cacheBytesPerToken = mean("cacheBytesPerToken")
  const floorBytesPerToken = tokenBytes + cacheBytesPerToken
  const floorTokensPerSecond = bandwidth.median / floorBytesPerToken
  return {
    prefillTokensPerSecond: spreadOf(passes.map((pass) => pass.prefillTokensPerSecond)),
    decodeTokensPerSecond,
    weightBytesPerToken,
    cacheBytesPerToken,
    activeShare: mean("activeShare"),
    bandwidthBytesPerSecond: bandwidth,
    floorBytesPerToken,
    floorTokensPerSecond,
    floorRatio: decodeTokensPerSecond.median / floorTokensPerSecond,
    bandwidthShare: (decodeTokensPerSecond.median * (weightBytesPerToken + cacheBytesPerToken)) / bandwidth.median
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
