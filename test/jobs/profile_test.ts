// Goal: a profile counts what really fires; a part of a text is spread over it. What a violent end leaves: killed_jobs_test.ts.
// Method: tiny models, and counts beside the FFN's formula in f64.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  activationProfile,
  type Corpus,
  corpusOfBytes,
  densityOf,
  openCorpus,
  openModel,
  openPlan,
  openTokenizer,
  openTrace,
  profileModel,
  type ProfileOptions,
  type Tokenizer,
  tokenWindows
} from "@powerinfer/core"
import { openFfnTruth, type TinyModel, writeTinyModel } from "@powerinfer/core/testing"
import { Effect, type Scope } from "effect"
import { openFiringCounts } from "../../core/jobs/firing_counts.ts"
import { planOptions } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-profile-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string) => join(folder, name)
const run = <A>(effect: Effect.Effect<A, unknown, Scope.Scope>): Promise<A> => Effect.runPromise(Effect.scoped(effect))

const tiny: TinyModel = { family: "llama", seed: 1, activation: "relu", shape: { ffnWidth: 75 } }
await run(writeTinyModel(path("model.gguf"), tiny))
await run(writeTinyModel(path("silu.gguf"), { ...tiny, activation: "silu" }))
writeFileSync(path("a.txt"), "a cat sat on a mat\nand so it did\n".repeat(6))
writeFileSync(path("b.jsonl"), ["one day", "another day it was", ""].map((text) => JSON.stringify({ text })).join("\n"))

const profileOf = Effect.fnUntraced(function* (
  name: string,
  texts: ReadonlyArray<string>,
  options: Partial<ProfileOptions>
) {
  const model = yield* openModel(path(name))
  const plan = yield* openPlan(model, planOptions({ rowCountMax: 8 }), () => {})
  const corpora = yield* Effect.forEach(texts, (text) => openCorpus(path(text)))
  const defaults = { windowTokens: 20, bos: true, threshold: 0, cacheType: "f32", runsWith: {} } as const
  const quiet = { announce: () => {}, onProgress: () => {} }
  const tokenizer = yield* openTokenizer(model.gguf.metadata)
  return { model, profile: yield* profileModel(plan, tokenizer, corpora, { ...defaults, ...quiet, ...options }) }
})

describe("profileModel()", () => {
  test("counts what fires by the FFN's formula, and traces the same", () =>
    run(
      Effect.gen(function* () {
        const { model, profile } = yield* profileOf("model.gguf", ["a.txt", "b.jsonl"], { trace: path("own.arrow") })
        const trace = yield* openTrace(path("own.arrow"), model)
        const truth = openFfnTruth(model)
        const { hiddenWidth, ffnWidth } = model.shape
        expect(trace.rowCount).toBe(profile.tokenCount)
        for (const [block, { firingCounts, meanMagnitudes }] of profile.blocks.entries()) {
          const counts = Array.from({ length: ffnWidth }, () => 0)
          const sums = Array.from({ length: ffnWidth }, () => 0)
          let wrong = 0
          for (const { rowCount, hidden, activations, active } of trace.rows(block)) {
            const exact = new Float32Array(rowCount * ffnWidth)
            truth.activations(block, { rowCount, width: hiddenWidth, values: hidden }, exact)
            for (let at = 0; at < exact.length; at++) {
              const [row, neuron] = [Math.floor(at / ffnWidth), at % ffnWidth]
              const fired = ((active[row * 3 + (neuron >>> 5)]! >>> (neuron & 31)) & 1) === 1
              expect(fired).toBe(activations[at] !== 0)
              // The hidden vector of a trace is rounded to 11 bits: next to zero the sign may be another.
              if (fired !== (exact[at] !== 0)) wrong = Math.max(wrong, Math.abs(exact[at]!), Math.abs(activations[at]!))
              if (!fired) continue
              expect(Math.abs(activations[at]! - exact[at]!)).toBeLessThan(0.02)
              counts[neuron]!++
              sums[neuron]! += Math.abs(activations[at]!)
            }
          }
          expect(wrong).toBeLessThan(0.02)
          expect(counts).toEqual([...firingCounts])
          for (const [neuron, sum] of sums.entries()) {
            if (counts[neuron]! > 0) expect(meanMagnitudes[neuron]!).toBeCloseTo(sum / counts[neuron]!, 3)
          }
        }
      })
    ))

  test("of two texts says how alike their hot neurons are", () =>
    run(
      Effect.gen(function* () {
        const { profile } = yield* profileOf("model.gguf", ["a.txt", "b.jsonl", "a.txt"], {})
        for (const { overlap } of profile.blocks) {
          expect(overlap[0]![2]).toBe(1)
          expect(overlap[0]![1]).toBe(overlap[1]![0]!)
          expect(overlap[0]![1]).toBeLessThan(1)
        }
      })
    ))

  test("with a threshold finds zeros where the activation makes none", () =>
    run(
      Effect.gen(function* () {
        const [all, some] = yield* Effect.forEach([0, 0.5], (threshold) =>
          Effect.map(
            profileOf("silu.gguf", ["a.txt"], { threshold, out: path(`${threshold}.json`) }),
            ({ profile }) => profile
          )
        )
        expect(densityOf(all!, 0)).toBeGreaterThan(0.99)
        expect(densityOf(some!, 0)).toBeWithin(0.05, 0.9)
        expect((yield* activationProfile.read(path("0.5.json"))).threshold).toBe(0.5)
      })
    ))
})

describe("openFiringCounts()", () => {
  const shape = { blockCount: 1, ffnWidth: 4, corpusCount: 1 }
  const observe = (
    counts: ReturnType<typeof openFiringCounts>,
    positions: ReadonlyArray<number>,
    values: ReadonlyArray<number>
  ) => {
    const rowCount = positions.length
    const active = new Uint32Array(rowCount)
    counts.observe(0, 0, {
      rowCount,
      positions: Uint32Array.from(positions),
      activations: Float32Array.from(values),
      active
    })
    return [...active]
  }

  test("counts what is above the share of the row's root mean square", () => {
    const counts = openFiringCounts({ ...shape, threshold: 1 })
    // Root mean squares of 2 and 1.5: what is at the limit is not above it.
    expect(observe(counts, [0, 1], [2, -2, 2, 2, 0, -3, 0, 0])).toEqual([0, 0b0010])
    const [block] = counts.blocks()
    expect([block!.firingCounts, block!.meanMagnitudes]).toEqual([
      [0, 1, 0, 0],
      [0, 3, 0, 0]
    ])
  })

  test("compares consecutive tokens of one window only, and none that fire nothing", () => {
    const counts = openFiringCounts({ ...shape, threshold: 0 })
    observe(counts, [0, 1, 0], [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1])
    observe(counts, [1, 2, 3], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    // 1/2, 1, 0 between something and nothing; nothing and nothing are no pair.
    expect(counts.blocks()[0]!.consecutiveOverlap).toBe(1.5 / 3)
  })
})

describe("tokenWindows()", () => {
  /** A token a character: its code. */
  const letters = {
    bos: 1,
    eos: 2,
    addsBos: true,
    encode: (text: string) => Array.from(text, (letter) => letter.charCodeAt(0))
  } as unknown as Tokenizer
  const windowsOf = (corpus: Corpus, choice: Partial<Parameters<typeof tokenWindows>[2]> = {}) =>
    Array.from(tokenWindows(corpus, letters, { windowTokens: 4, bos: true, ...choice }), ({ tokens }) =>
      tokens.map((token) => (token < 3 ? "^$"[token - 1] : String.fromCharCode(token))).join("")
    )
  const text = (content: string) => run(corpusOfBytes("x", new TextEncoder().encode(content)))

  test("cuts a text without overlap, each window with the token that begins a document", async () => {
    expect(windowsOf(await text("abcdefgh"))).toEqual(["^abc", "^def", "^gh"])
    expect(windowsOf(await text("abcdefgh"), { bos: false })).toEqual(["^abc", "defg", "h"])
  })

  test("puts the tokens between documents where <|doc|> stands", async () => {
    expect(windowsOf(await text("ab\n<|doc|>\ncde"), { bos: false })).toEqual(["^ab\n", "$^cd", "e"])
  })

  test("gives each line of JSONL windows of its own", async () => {
    writeFileSync(path("lines.jsonl"), `{"text":"abcde"}\n\n{"text":"f"}`)
    expect(windowsOf(await run(openCorpus(path("lines.jsonl"))))).toEqual(["^abc", "^de", "^f"])
  })

  test("spreads a part over the text, also over one of many pieces", async () => {
    expect(windowsOf(await text("abcdefghijklmnopqr"), { windowCountMax: 3 })).toEqual(["^abc", "^ghi", "^mno"])
    const lines = Array.from({ length: 60_000 }, (_, line) => `${String(line).padStart(5, "0")}\n`).join("")
    const starts = windowsOf(await text(lines), { windowCountMax: 10, windowTokens: 7 }).map((one) =>
      Number(one.slice(1, 6))
    )
    expect(starts.length).toBe(10)
    for (const [index, start] of starts.entries()) expect(Math.abs(start - (index + 0.5) * 6000)).toBeLessThan(300)
  })

  for (const [what, name, content, reason] of [
    ["a text that is not UTF-8", "bad.txt", Uint8Array.of(65, 0xff), "it is not UTF-8"],
    [
      "lines that are no documents",
      "bad.jsonl",
      new TextEncoder().encode('{"text":"a"}\n{"txt":1}\n'),
      "line 2 is no JSON object"
    ],
    ["an empty text", "empty.txt", new Uint8Array(0), "there is nothing in it"]
  ] as const) {
    test(`refuses ${what}`, async () => {
      writeFileSync(path(name), content)
      expect((await run(Effect.flip(openCorpus(path(name))))).message).toContain(reason)
    })
  }
})
