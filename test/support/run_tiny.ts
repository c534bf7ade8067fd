// What are the logits of a model that a test has put together?
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type LoadedPlugin, type GgufToWrite, type Model, openModel, writeGguf } from "@powerinfer/core"
import { openHome, runTokens } from "@powerinfer/core/testing"
import { Effect } from "effect"

/** Writes the model to a temporary directory, hands it opened to `use`, and removes it. */
export const withWritten = <A, E>(gguf: GgufToWrite, use: (model: Model) => Effect.Effect<A, E>): Promise<A> =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "powerinfer-test-"))),
    (directory) => {
      const path = join(directory, "model.gguf")
      return Effect.andThen(writeGguf(path, gguf), Effect.flatMap(openModel(path), use))
    },
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  ).pipe(Effect.runPromise)

/** Logits of the tokens at every position, KV cache F32. */
export const logitsOf = (
  backend: Pick<LoadedPlugin<"backend">, "open">,
  gguf: GgufToWrite,
  tokens: ReadonlyArray<number>,
  options: { readonly confirms?: boolean } = {}
): Promise<Float32Array> =>
  withWritten(gguf, (model) =>
    Effect.scoped(
      Effect.gen(function* () {
        const home = yield* openHome(backend, model, { rowCountMax: tokens.length, sparse: true })
        return yield* runTokens(home, model, tokens, { rowCount: tokens.length, ...options })
      })
    )
  )
