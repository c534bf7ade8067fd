// How close is a run with a predictor to the dense run of the same file, and what does it cost?
import * as Effect from "effect/Effect"
import type { DecodeFigures, EvaluationFigures } from "../artifacts/evaluation.ts"
import type { CacheType } from "../backend.ts"
import { Batch } from "../batch.ts"
import { checkTokens } from "../engine/evaluate.ts"
import { openForward } from "../engine/forward.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import { openCache } from "../engine/session.ts"
import { bootstrap, quantile } from "./bootstrap.ts"
import type { EvaluationWindow } from "./evaluation_text.ts"
import { fidelityClass } from "./fidelity.ts"
import { commonPrefix, type ContinuationOptions, continueGreedily, sparseRows } from "./free_running.ts"
import { canJudge, selectionFigures, type SelectionSums, watchSelection } from "./judge_selection.ts"
import { runSpeedPass, type SpeedPass, spreadOf } from "./measure_speed.ts"
import { type RowScore, scoreRow } from "./score_row.ts"

export interface EvaluationOptions {
  /** At least one. */
  readonly windows: ReadonlyArray<EvaluationWindow>
  readonly cacheType: CacheType
  /** Of the draws that intervals are made of. */
  readonly seed: number
  /** Compares selections with the truth, where that can be seen; default true. Costs about another dense gate and up. */
  readonly selection?: boolean
  /** Lets both runs write on from the beginnings of so many windows; 0 leaves it out. Default 8. */
  readonly promptCount?: number
  /** Tokens written after each; default 256, or what a window leaves room for. */
  readonly writtenTokens?: number
  /** Decodes the text one token at a time in so many windows, for bytes and speed; 0 leaves it out. Default 4. */
  readonly decodeWindows?: number
  /** A window is done. */
  readonly onWindow?: (done: number) => void
}

/** Tokens of a prompt that both runs go on from, and tokens decoded in a window for bytes and speed. */
const promptTokens = 32
const decodedTokens = 32

/**
 * Compares two open plans of one model on the same windows: one that computes every neuron, and one as asked for.
 *
 * Scored rows run as rows that decode, in batches in which the predictor selects for each: an exact one would run dense in larger ones. What comes
 * before them in a window is their prompt. The logits of one batch are held at a time, of every position one number.
 *
 * - fails  as the KV caches of a window do; with `TokenOutsideVocabulary`
 */
export const evaluate = Effect.fnUntraced(function* (dense: OpenPlan, asked: OpenPlan, options: EvaluationOptions) {
  const { windows, cacheType, seed, promptCount = 8, decodeWindows = 4, onWindow } = options
  const { vocabularySize } = dense.model.shape
  for (const { tokens, targets } of windows) yield* checkTokens([...tokens, ...targets], vocabularySize)

  const watched = (options.selection ?? true) && canJudge(asked) ? watchSelection(asked) : undefined
  const scoreWindow = openScorer(dense, watched?.plan ?? asked, cacheType)
  const scored: Array<WindowSums> = []
  const divergences: Array<number> = []
  const selected: Array<ReadonlyArray<SelectionSums>> = []
  for (const window of windows) {
    scored.push(yield* scoreWindow(window, divergences))
    if (watched) selected.push(watched.take())
    onWindow?.(scored.length)
  }

  const measured = bootstrap(scored, fidelityFigures, { seed })
  const ordered = Float64Array.from(divergences).sort()
  const figures: EvaluationFigures = {
    fidelity: fidelityClass({
      exact: asked.selector.exact,
      divergence: measured.divergence.value,
      topAgreement: measured.topAgreement.value
    }),
    scoredTokens: divergences.length,
    perplexity: { dense: measured.densePerplexity, asked: measured.askedPerplexity },
    deltaLogPerplexity: measured.deltaLogPerplexity,
    divergence: {
      mean: measured.divergence,
      median: quantile(ordered, 0.5),
      p99: quantile(ordered, 0.99),
      max: ordered.at(-1)!
    },
    topAgreement: measured.topAgreement,
    ...(watched && { selection: selectionFigures(selected, { sparse: asked.model.sparse, seed }) }),
    ...(promptCount > 0 && { freeRunning: yield* runFreely(dense, asked, { ...options, promptCount }) }),
    ...(decodeWindows > 0 && { decode: yield* decodeText(dense, asked, { ...options, decodeWindows }) })
  }
  return figures
})

/** What the scored rows of a window add up to. */
interface WindowSums {
  tokens: number
  denseNll: number
  askedNll: number
  divergence: number
  agreements: number
}

const fidelityFigures = {
  densePerplexity: ({ denseNll, tokens }: WindowSums) => Math.exp(denseNll / tokens),
  askedPerplexity: ({ askedNll, tokens }: WindowSums) => Math.exp(askedNll / tokens),
  deltaLogPerplexity: ({ denseNll, askedNll, tokens }: WindowSums) => (askedNll - denseNll) / tokens,
  divergence: ({ divergence, tokens }: WindowSums) => divergence / tokens,
  topAgreement: ({ agreements, tokens }: WindowSums) => agreements / tokens
}

/** Runs a window through both plans, batch by batch of the dense one, and appends the divergence of every scored position. */
const openScorer = (dense: OpenPlan, asked: OpenPlan, cacheType: CacheType) => {
  const { vocabularySize } = dense.model.shape
  const rowCountMax = Math.min(dense.rowCountMax, asked.rowCountMax)
  const forwardDense = openForward(dense)
  const forwardAsked = openForward(asked)
  const batch = new Batch(rowCountMax)
  // A copy: both plans may share a device, whose logits the other run overwrites.
  const denseLogits = new Float32Array(rowCountMax * vocabularySize)
  const row: RowScore = { denseNll: 0, askedNll: 0, divergence: 0, agrees: false }
  const logitsOf = (logits: Float32Array, index: number) =>
    logits.subarray(index * vocabularySize, (index + 1) * vocabularySize)

  return Effect.fnUntraced(function* (window: EvaluationWindow, divergences: Array<number>) {
    const { tokens, firstScored, targets } = window
    const denseCache = yield* openCache(dense, tokens.length, cacheType)
    const askedCache = yield* openCache(asked, tokens.length, cacheType)
    const fill = (start: number, end: number, cache: number) => {
      batch.clear()
      for (let at = start; at < end; at++) batch.add(tokens[at]!, at, cache, at >= firstScored, at < firstScored)
      return batch
    }
    const sums: WindowSums = { tokens: targets.length, denseNll: 0, askedNll: 0, divergence: 0, agreements: 0 }
    for (let start = 0; start < tokens.length;) {
      // Rows that are scored and rows that are not never share a batch.
      const edge = start < firstScored ? firstScored : tokens.length
      const end = Math.min(start + rowCountMax, edge)
      const scored = start >= firstScored
      denseLogits.set(forwardDense(fill(start, end, denseCache))!)
      const step = scored ? Math.min(sparseRows(asked), rowCountMax) : rowCountMax
      for (let from = start; from < end; from += step) {
        const to = Math.min(from + step, end)
        const askedLogits = forwardAsked(fill(from, to, askedCache))!
        if (!scored) continue
        for (let at = from; at < to; at++) {
          scoreRow(logitsOf(denseLogits, at - start), logitsOf(askedLogits, at - from), targets[at - firstScored]!, row)
          sums.denseNll += row.denseNll
          sums.askedNll += row.askedNll
          sums.divergence += row.divergence
          sums.agreements += Number(row.agrees)
          divergences.push(row.divergence)
        }
        // Lets an interruption in.
        yield* Effect.yieldNow
      }
      start = end
    }
    return sums
  }, Effect.scoped)
}

/** Both runs go on from the beginnings of windows, each from what it has written itself. */
const runFreely = Effect.fnUntraced(function* (
  dense: OpenPlan,
  asked: OpenPlan,
  { windows, cacheType, promptCount, writtenTokens = 256 }: EvaluationOptions & { readonly promptCount: number }
) {
  const prompts = windows.slice(0, promptCount).map(({ tokens }) => tokens.slice(0, promptTokens))
  const room = dense.model.shape.contextLength - promptTokens
  const length = Math.max(1, Math.min(writtenTokens, room))
  const expected = yield* continueOnce(dense, prompts, { length, cacheType })
  const actual = yield* continueGreedily(asked, prompts, { length, cacheType })
  const prefixes = expected.map((tokens, index) => commonPrefix(tokens, actual[index]!))
  const shareOf = (holds: (prefix: number) => boolean) => prefixes.filter(holds).length / prefixes.length
  return {
    prompts: prompts.length,
    tokens: length,
    commonPrefix: prefixes.reduce((sum, prefix) => sum + prefix, 0) / prefixes.length,
    same64: shareOf((prefix) => prefix >= Math.min(64, length)),
    sameAll: shareOf((prefix) => prefix === length)
  }
})

/** What dense plans have written: of several runs that are compared with one, only the first waits for it. */
const written = new WeakMap<OpenPlan, Map<string, ReadonlyArray<ReadonlyArray<number>>>>()

const continueOnce = Effect.fnUntraced(function* (
  plan: OpenPlan,
  prompts: ReadonlyArray<ReadonlyArray<number>>,
  options: ContinuationOptions
) {
  const known = written.get(plan) ?? new Map<string, ReadonlyArray<ReadonlyArray<number>>>()
  written.set(plan, known)
  const key = JSON.stringify([prompts, options])
  const texts = known.get(key) ?? (yield* continueGreedily(plan, prompts, options))
  known.set(key, texts)
  return texts
})

/** Of the tokens of a window, how many are a prompt before others are decoded for bytes and speed. */
const decodedAfter = (tokenCount: number): number => Math.max(1, Math.floor(tokenCount / 2))

/** Positions in the KV cache of a token that is decoded so, on average. */
export const decodedDepth = (tokenCount: number): number => {
  const prompt = decodedAfter(tokenCount)
  return prompt + (Math.min(decodedTokens, tokenCount - prompt) + 1) / 2
}

/** Decodes what follows the middle of windows, in turns, so that a disturbance does not hit one run alone; one more pass comes first. */
const decodeText = Effect.fnUntraced(function* (
  dense: OpenPlan,
  asked: OpenPlan,
  { windows, cacheType, decodeWindows }: EvaluationOptions & { readonly decodeWindows: number }
) {
  const passes = { dense: new Array<SpeedPass>(), asked: new Array<SpeedPass>() }
  for (const [index, { tokens }] of [windows[0]!, ...windows.slice(0, decodeWindows)].entries()) {
    const promptLength = decodedAfter(tokens.length)
    const text = tokens.slice(0, promptLength + decodedTokens)
    const pass = { promptTokens: promptLength, cacheType }
    const one = { dense: yield* runSpeedPass(dense, text, pass), asked: yield* runSpeedPass(asked, text, pass) }
    if (index === 0) continue
    passes.dense.push(one.dense)
    passes.asked.push(one.asked)
  }
  return { dense: decodeFigures(passes.dense), asked: decodeFigures(passes.asked) }
})

const decodeFigures = (passes: ReadonlyArray<SpeedPass>): DecodeFigures => {
  const mean = (of: (pass: SpeedPass) => number) => passes.reduce((sum, pass) => sum + of(pass), 0) / passes.length
  return {
    tokensPerSecond: spreadOf(passes.map(({ decodeTokensPerSecond }) => decodeTokensPerSecond)),
    weightBytes: mean(({ weightBytesPerToken }) => weightBytesPerToken),
    predictorBytes: mean(({ predictorBytesPerToken }) => predictorBytesPerToken),
    cacheBytes: mean(({ cacheBytesPerToken }) => cacheBytesPerToken),
    activeShare: mean(({ activeShare }) => activeShare)
  }
}
