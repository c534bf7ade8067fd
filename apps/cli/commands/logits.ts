// powerinfer logits: what does the model say at every position? In a file, for other engines to be compared with.
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import {
  attemptWrite,
  evaluateTokens,
  type FileUnwritable,
  openModel,
  openPlan,
  writeFully,
  writeWholeFile
} from "powerinfer"
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
  yield* writeWholeFile(input.out, (descriptor) => {
    // A batch cannot be stopped from inside: what goes wrong first is kept, and the rest is not written.
    let written: Exit.Exit<void, FileUnwritable> = Exit.void
    const write = (values: Float32Array) => {
      if (Exit.isFailure(written)) return
      written = Effect.runSyncExit(attemptWrite(input.out, () => writeFully(descriptor, bytesOf(values))))
    }
    const evaluated = evaluateTokens(plan, tokens, { cacheType }, (_position, values) => write(values))
    return Effect.andThen(
      evaluated,
      Effect.suspend(() => written)
    )
  })

  const { vocabularySize } = plan.model.shape
  if (input.json) {
    const shape = { token_count: tokens.length, vocabulary_size: vocabularySize }
    return yield* printJson({ out: input.out, ...shape, settings: yield* settingsJson(options) })
  }
  yield* note(`${input.out}: f32[${tokens.length}][${vocabularySize}], little-endian`)
}, Effect.scoped)

const parseTokens = (text: string): Effect.Effect<ReadonlyArray<number>, InvalidUsage> =>
  /^\s*\d+(\s*,\s*\d+)*\s*$/.test(text)
    ? Effect.succeed(text.split(",").map(Number))
    : Effect.fail(
        new InvalidUsage({ reason: `--tokens is ${JSON.stringify(text)}; write ids separated by commas: 1,2,3` })
      )

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
