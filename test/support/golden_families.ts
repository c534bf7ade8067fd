// Does a backend compute what an independent implementation computed? One tiny F32 model a family, its logits by Hugging Face transformers.
import { readFileSync } from "node:fs"
import { type LoadedPlugin, openModel } from "@powerinfer/core"
import { largestError, openHome, runTokens } from "@powerinfer/core/testing"
import { Effect } from "effect"

/** The files of test/golden/families. */
export const goldenFamilies = [
  "llama-gqa-silu",
  "llama-gqa-relu",
  "llama3-rope",
  "qwen2",
  "qwen3",
  "falcon7-gelu",
  "falcon40-relu",
  "opt"
] as const

export type GoldenFamily = (typeof goldenFamilies)[number]

/** Standard deviations of a position's logits. llama.cpp reaches 4e-6 where it knows the model. */
export const goldenTolerance = 1e-4

/** A family's tokens and their logits, f32[token_count][vocabulary_size]. */
export const readGolden = (name: GoldenFamily) => {
  const path = `test/golden/families/${name}`
  const { tokens, vocab } = JSON.parse(readFileSync(`${path}.json`, "utf8")) as {
    readonly tokens: ReadonlyArray<number>
    readonly vocab: number
  }
  const bytes = readFileSync(`${path}.logits.f32`)
  const logits = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  return { path: `${path}.gguf`, tokens, vocabularySize: vocab, logits }
}

/**
 * The largest error at any position, in standard deviations of that position's logits. KV cache F32.
 *
 * - `rowCount`  rows a batch: 1 is token by token
 * - `confirms`  the FFN drops neurons whose activation is zero
 */
export const familyError = (
  backend: Pick<LoadedPlugin<"backend">, "open">,
  name: GoldenFamily,
  options: { readonly rowCount: number; readonly confirms?: boolean }
): Promise<number> => {
  const golden = readGolden(name)
  return Effect.gen(function* () {
    const model = yield* openModel(golden.path)
    const sparse = options.confirms === true
    const home = yield* openHome(backend, model, { rowCountMax: options.rowCount, sparse })
    const logits = yield* runTokens(home, model, golden.tokens, options)
    const size = golden.vocabularySize
    const errors = golden.tokens.map((_, position) =>
      largestError(
        logits.subarray(position * size, (position + 1) * size),
        golden.logits.subarray(position * size, (position + 1) * size)
      )
    )
    return Math.max(...errors)
  }).pipe(Effect.scoped, Effect.runPromise)
}

/** Throws if a position is further from the reference than `goldenTolerance`. */
export const checkFamily = async (...family: Parameters<typeof familyError>): Promise<void> => {
  const error = await familyError(...family)
  // Written so that a NaN fails.
  if (!(error <= goldenTolerance)) throw new Error(`${family[1]} is off by ${error} standard deviations`)
}
