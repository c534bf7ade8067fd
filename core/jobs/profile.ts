// How often does each neuron fire on these texts? The model runs them densely, and every FFN is looked at on the way.
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import { type ActivationProfile, activationProfile } from "../artifacts/activation_profile.ts"
import { identityOf, type MadeFor } from "../artifacts/artifact.ts"
import { openTraceWriter, type TraceRows, type TraceSubject, type TraceWriter } from "../artifacts/trace.ts"
import type { CacheType } from "../backend.ts"
import { Batch, type CacheId } from "../batch.ts"
import { type OnHidden, openForward } from "../engine/forward.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import { openCache } from "../engine/session.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import { attemptWrite } from "../whole_file.ts"
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts"
import { type Corpus, type TokenWindow, tokenWindows, type WindowChoice } from "./corpus.ts"
import { type FiringCounts, openFiringCounts } from "./firing_counts.ts"

/** What to run, and where results go. */
export interface ProfileOptions extends WindowChoice {
  /** A neuron fires if |activation| is above this share of the root mean square of its row; 0: if it is not zero. */
  readonly threshold: number
  readonly cacheType: CacheType
  /** Where the profile goes. */
  readonly out?: string
  /** Where a trace goes, which costs about hidden_width · 2 + ffn_width / 8 + 2 bytes a neuron that fires, for each token and block. */
  readonly trace?: string
  /** What else the numbers depend on: devices and their options. A run that was ended goes on only under the same. */
  readonly runsWith: unknown
  /** How much work an end may cost; default 2000. */
  readonly checkpointMs?: number
  readonly announce: (line: string) => void
  readonly onProgress: (progress: ProfileProgress) => void
}

export interface ProfileProgress {
  /** Of this run; those of an earlier one are not timed. */
  readonly tokenCount: number
  readonly seconds: number
  /** 0 … 1, over all texts; and where this run began. */
  readonly share: number
  readonly shareAtStart: number
}

/** How far a run has come: the window of a corpus that is next, and what there is up to it. */
interface Place {
  readonly corpus: number
  readonly window: number
  /** Windows of all corpora. */
  readonly windowCount: number
  readonly tokenCounts: ReadonlyArray<number>
  readonly traceBytes: number
}

const defaultCheckpointMs = 2000
const statePiece = "state"

/**
 * Runs the texts and counts. With `out` or `trace` it keeps what it has in a folder beside them, `OUT.partial`; the same call goes on from there after
 * an interruption of any kind, and its files are the same bytes as those of an undisturbed run.
 *
 * - `plan`  opened to run densely
 * - fails   `FileUnwritable`, `ContextTooLong`, `NotEnoughMemory`, `CacheTypeUnsuited`, `BackendFailure`, `GgufError`, `ArtifactUnreadable`
 */
export const profileModel = Effect.fnUntraced(function* (
  plan: OpenPlan,
  tokenizer: Tokenizer,
  corpora: ReadonlyArray<Corpus>,
  options: ProfileOptions
) {
  const { out, trace, threshold, windowTokens } = options
  const { blockCount, hiddenWidth, ffnWidth } = plan.model.shape
  const model = yield* identityOf(plan.model)
  const hashes = corpora.map(({ name, sha256 }) => ({ name, sha256 }))
  const subject: TraceSubject = { model, blockCount, hiddenWidth, ffnWidth, threshold, corpora: hashes }
  const counts = openFiringCounts({ blockCount, ffnWidth, corpusCount: corpora.length, threshold })
  const checkpoint = yield* openProfileCheckpoint(plan, subject, options)
  const begin = restorePlace(checkpoint, counts, trace) ?? {
    corpus: 0,
    window: 0,
    windowCount: 0,
    tokenCounts: corpora.map(() => 0),
    traceBytes: 0
  }
  if (begin.windowCount > 0) options.announce(`going on from window ${begin.windowCount + 1}`)
  const partial = trace === undefined ? undefined : partialTrace(trace)
  if (partial !== undefined) yield* attemptWrite(partial, () => mkdirSync(partialFolder(trace!), { recursive: true }))
  const writer = partial === undefined ? undefined : yield* openTraceWriter(partial, subject, begin.traceBytes)
  const cache = yield* openCache(plan, windowTokens, options.cacheType)

  const place = yield* runWindows({ plan, tokenizer, corpora, options, counts, checkpoint, writer, cache }, begin)

  const profile: MadeFor<ActivationProfile> = {
    model,
    tokenCount: place.tokenCounts.reduce((sum, count) => sum + count, 0),
    ...(threshold > 0 && { threshold }),
    corpora: hashes.map((one, index) => ({ ...one, tokenCount: place.tokenCounts[index]! })),
    blocks: counts.blocks()
  }
  if (out !== undefined) yield* activationProfile.write(out, profile)
  if (trace !== undefined) {
    yield* attemptWrite(trace, () => {
      writer!.end()
      writer!.sync()
      renameSync(partial!, trace)
      rmSync(partialFolder(trace), { recursive: true, force: true })
    })
  }
  if (checkpoint) yield* checkpoint.drop
  return profile
}, Effect.scoped)

const partialFolder = (path: string): string => `${path}.partial`
const partialTrace = (trace: string): string => join(partialFolder(trace), "trace.arrow")

/** Beside the profile, or the trace where there is none; undefined: nothing is written, and nothing kept. */
const openProfileCheckpoint = (plan: OpenPlan, subject: TraceSubject, options: ProfileOptions) => {
  const { out, trace, windowTokens, windowCountMax, bos, cacheType, runsWith } = options
  const beside = out ?? trace
  if (beside === undefined) return Effect.succeed(undefined)
  const { rowCountMax } = plan
  const run = { windowTokens, windowCountMax, bos, cacheType, rowCountMax, runsWith }
  const madeFor = { job: "profile", ...subject, ...run, trace: trace && resolve(trace) }
  return openCheckpoint(partialFolder(beside), madeFor, options.announce)
}

/** Where an interrupted run is to go on; undefined where there was none, or its trace has gone. */
const restorePlace = (
  checkpoint: Checkpoint | undefined,
  counts: FiringCounts,
  trace: string | undefined
): Place | undefined => {
  const saved = checkpoint?.read(statePiece)
  if (saved === undefined) return undefined
  const end = saved.indexOf(10)
  // Written by us, whole or not at all, under the hash of everything that its form depends on.
  const place = JSON.parse(new TextDecoder().decode(saved.subarray(0, end))) as Place
  const partial = trace && partialTrace(trace)
  if (partial && (!existsSync(partial) || statSync(partial).size < place.traceBytes)) return undefined
  return counts.restore(saved.subarray(end + 1)) ? place : undefined
}

const savePlace = (checkpoint: Checkpoint, counts: FiringCounts, place: Place): void => {
  const head = new TextEncoder().encode(`${JSON.stringify(place)}\n`)
  const sums = counts.save()
  const piece = new Uint8Array(head.length + sums.length)
  piece.set(head)
  piece.set(sums, head.length)
  checkpoint.write(statePiece, piece)
}

interface Run {
  readonly plan: OpenPlan
  readonly tokenizer: Tokenizer
  readonly corpora: ReadonlyArray<Corpus>
  readonly options: ProfileOptions
  readonly counts: FiringCounts
  readonly checkpoint: Checkpoint | undefined
  readonly writer: TraceWriter | undefined
  readonly cache: CacheId
}

/** Runs what is left. Returns the place behind the last window. */
const runWindows = Effect.fnUntraced(function* (run: Run, begin: Place) {
  const { corpora, tokenizer, options, counts, checkpoint, writer } = run
  const { checkpointMs = defaultCheckpointMs } = options
  const runWindow = openWindow(run)
  const totalBytes = corpora.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const shareOf = ({ corpus }: Place, progress: number): number => {
    const done = corpora.slice(0, corpus).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / totalBytes
    const current = corpora[corpus]
    return current === undefined ? 1 : done + (current.sizeBytes / totalBytes) * progress
  }
  const started = performance.now()
  let lastSaved = started
  let tokenCount = 0
  let shareAtStart: number | undefined
  // Moved on in place: the only object that is.
  const place = { ...begin, tokenCounts: [...begin.tokenCounts] }

  const save = attemptWrite(checkpoint?.folder ?? "", () => {
    writer?.sync()
    if (checkpoint) savePlace(checkpoint, counts, place)
    lastSaved = performance.now()
  })

  while (place.corpus < corpora.length) {
    const { corpus, window: skipped } = place
    let index = 0
    for (const window of tokenWindows(corpora[corpus]!, tokenizer, options)) {
      // Tokenized again: it takes a hundredth of the time of running them.
      if (index++ < skipped) continue
      shareAtStart ??= shareOf(place, skipped === 0 ? 0 : window.progress)
      yield* runWindow(window, place)
      tokenCount += window.tokens.length
      place.window = index
      place.windowCount++
      place.tokenCounts[corpus]! += window.tokens.length
      place.traceBytes = writer?.sizeBytes ?? 0
      const seconds = (performance.now() - started) / 1000
      options.onProgress({ tokenCount, seconds, share: shareOf(place, window.progress), shareAtStart })
      if (performance.now() - lastSaved >= checkpointMs) yield* save
    }
    place.corpus++
    place.window = 0
  }
  yield* save
  return place
})

/** Prepares to run windows, batch by batch, and to look at every FFN of each. */
const openWindow = ({ plan, options, counts, writer, cache }: Run) => {
  const { rowCountMax, home } = plan
  const { ffnWidth } = plan.model.shape
  const batch = new Batch(rowCountMax)
  const windows = new Uint32Array(rowCountMax)
  const tokens = new Uint32Array(rowCountMax)
  const positions = new Uint32Array(rowCountMax)
  const activations = new Float32Array(new ArrayBuffer(rowCountMax * ffnWidth * 4))
  const active = new Uint32Array(rowCountMax * Math.ceil(ffnWidth / 32))
  let corpus = 0
  const look: OnHidden = (block, hidden) => {
    home.activations(block, hidden, activations)
    const { rowCount } = hidden
    const rows: TraceRows = { rowCount, windows, tokens, positions, hidden: hidden.values, activations, active }
    counts.observe(corpus, block, rows)
    writer?.append(block, rows)
  }
  const forward = openForward(plan, look)

  return Effect.fnUntraced(function* (window: TokenWindow, place: Place) {
    corpus = place.corpus
    windows.fill(place.windowCount)
    for (let start = 0; start < window.tokens.length; start += rowCountMax) {
      batch.clear()
      for (let position = start; position < Math.min(start + rowCountMax, window.tokens.length); position++) {
        tokens[batch.rowCount] = window.tokens[position]!
        positions[batch.rowCount] = position
        batch.add(window.tokens[position]!, position, cache, false, true)
      }
      // The trace is written to in the middle of it.
      yield* attemptWrite(options.trace ?? "", () => forward(batch))
      // Lets an interruption in between the batches.
      yield* Effect.yieldNow
    }
  })
}
