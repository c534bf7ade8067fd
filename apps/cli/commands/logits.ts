// powerinfer logits: what does the model say at every position? In a file, for other engines to be compared with.
import { closeSync, existsSync, openSync, realpathSync, renameSync, rmSync, statSync, writeSync } from "node:fs"
import { basename } from "node:path"
import { Effect, Exit } from "effect"
import { evaluateTokens, FileUnwritable, openModel, openPlan } from "powerinfer"
import { engineOptions, settingsJson } from "../engine_settings.ts"
import type { EngineFlags } from "../flags.ts"
import { InvalidUsage } from "../invalid_usage.ts"
import { note, printJson } from "../output.ts"
import { withProgress } from "../progress.ts"

export interface LogitsInput extends Omit<EngineFlags, "ctx"> {
  readonly model: string
  readonly tokens: string
  readonly out: string
  readonly json: boolean
}

/** Writes f32[token_count][vocabulary_size], little-endian, under a temporary name that becomes `--out` once it is complete. */
export const logits = Effect.fnUntraced(function* (input: LogitsInput) {
  const tokens = yield* parseTokens(input.tokens)
  const { plan, options } = yield* withProgress(
    `Loading ${basename(input.model)}`,
    Effect.fnUntraced(function* (announce) {
      const options = yield* engineOptions(input.model, { ...input, ctx: undefined })
      return { options, plan: yield* openPlan(yield* openModel(input.model), options, announce) }
    })
  )
  const cacheType = options.session?.cacheType ?? "f16"
  yield* writeWhole(input.out, (write) =>
    evaluateTokens(plan, tokens, { cacheType }, (_position, values) => write(values))
  )

  const { vocabularySize } = plan.model.shape
  if (input.json) {
    const shape = { token_count: tokens.length, vocabulary_size: vocabularySize }
    return yield* printJson({ out: input.out, ...shape, settings: settingsJson(options) })
  }
  yield* note(`${input.out}: f32[${tokens.length}][${vocabularySize}], little-endian`)
}, Effect.scoped)

const parseTokens = (text: string): Effect.Effect<ReadonlyArray<number>, InvalidUsage> =>
  /^\s*\d+(\s*,\s*\d+)*\s*$/.test(text)
    ? Effect.succeed(text.split(",").map(Number))
    : Effect.fail(
        new InvalidUsage({ reason: `--tokens is ${JSON.stringify(text)}; write ids separated by commas: 1,2,3` })
      )

interface Target {
  readonly descriptor: number
  /** What is open while it is incomplete, and what it is then called. Undefined for a pipe or a device, which is written as it is. */
  readonly rename: { readonly from: string; readonly to: string } | undefined
}

const openTarget = (path: string): Target => {
  const there = existsSync(path) ? statSync(path) : undefined
  if (there?.isDirectory()) throw new Error("it is a directory; name a file in it")
  if (there && !there.isFile()) return { descriptor: openSync(path, "w"), rename: undefined }
  // A link keeps pointing where it did.
  const to = there ? realpathSync(path) : path
  const from = `${to}.${process.pid}.tmp`
  return { descriptor: openSync(from, "w"), rename: { from, to } }
}

/** A failure or an interruption leaves nothing behind, and an older file at `path` untouched. */
const writeWhole = <E, R>(path: string, fill: (write: (values: Float32Array) => void) => Effect.Effect<void, E, R>) => {
  let broken: FileUnwritable | undefined
  return Effect.acquireUseRelease(
    attempt(path, () => openTarget(path)),
    ({ descriptor, rename }) =>
      fill((values) => {
        try {
          if (!broken) writeFully(descriptor, values)
        } catch (cause) {
          broken = unwritable(path, cause)
        }
      }).pipe(
        Effect.andThen(Effect.suspend(() => (broken ? Effect.fail(broken) : Effect.void))),
        Effect.andThen(attempt(path, () => rename && renameSync(rename.from, rename.to)))
      ),
    ({ descriptor, rename }, exit) =>
      Effect.sync(() => {
        closeSync(descriptor)
        if (rename && Exit.isFailure(exit)) rmSync(rename.from, { force: true })
      })
  )
}

const writeFully = (descriptor: number, values: Float32Array): void => {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
}

const attempt = <A>(path: string, evaluate: () => A): Effect.Effect<A, FileUnwritable> =>
  Effect.try({ try: evaluate, catch: (cause) => unwritable(path, cause) })

const unwritable = (path: string, cause: unknown) =>
  new FileUnwritable({ path, reason: cause instanceof Error ? cause.message : String(cause) })
