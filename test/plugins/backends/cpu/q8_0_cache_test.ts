// Goal: a Q8_0 KV cache rounds keys and values as the reference backend does, in any batch, and takes the room that was estimated.
// Method: a tiny model with heads of one block on both backends; the native cache against its F16 run, row by row against many rows.
import { expect, test } from "bun:test"
import { type CacheType, estimateMemory, type LoadedPlugin, loadPlugin } from "@powerinfer/core"
import { largestError, openHome, runTokens, tinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { reference as plain } from "../../../support/plans.ts"
import { withWritten } from "../../../support/run_tiny.ts"
import { onEachIsa } from "./each_isa.ts"

const gguf = tinyModel({ family: "llama", seed: 4, activation: "relu", shape: { headCount: 2 } })
const tokens = Array.from({ length: 40 }, (_, i) => (i * 7) % 60)

const run = (backend: LoadedPlugin<"backend">, cacheType: CacheType, rowCount: number) =>
  withWritten(gguf, (model) =>
    Effect.scoped(
      Effect.gen(function* () {
        const home = yield* openHome(backend, model, { rowCountMax: rowCount, sparse: false })
        const logits = yield* runTokens(home, model, tokens, { rowCount, cacheType })
        return { model, logits, cacheBytes: home.counters().cacheBytes }
      })
    )
  )

const reference = await Effect.runPromise(loadPlugin(plain))

onEachIsa((_, backend) => {
  test("gives the reference's logits with a Q8_0 KV cache, the same in any batch", async () => {
    const expected = await run(reference, "q8_0", tokens.length)
    const alone = await run(backend, "q8_0", 1)
    const together = await run(backend, "q8_0", tokens.length)
    const exact = await run(backend, "f32", 1)
    expect(together.logits).toEqual(alone.logits)
    // Here and there a number lies between two codes, and the backends disagree on the nearer one: far less than what rounding itself does.
    const rounding = largestError(exact.logits, expected.logits)
    expect(largestError(alone.logits, expected.logits)).toBeLessThan(rounding / 3)
    expect(rounding).toBeGreaterThan(1e-3)

    // Row n reads n + 1 of the positions that the cache has room for.
    const options = { contextLength: tokens.length, cacheType: "q8_0", rowCountMax: 1 } as const
    const { cacheBytes } = estimateMemory(alone.model, options)
    expect(alone.cacheBytes).toBe((cacheBytes * (tokens.length + 1)) / 2)
    expect(expected.cacheBytes).toBe(alone.cacheBytes)
  })
})
