// Goal: windows are those of the two protocols, token for token.
// Method: counted tokens under a made-up tokenizer; the default model's own on the beginning of the held-out text, beside the reference's windows.
import { describe, expect, test } from "bun:test"
import { cutWindows, openModel, openTokenizer, textTokens } from "@powerinfer/core"
import { Effect } from "effect"
import reference from "../../models/relu-llama-7m/reference.json" with { type: "json" }
import { models } from "../support/plans.ts"

const tokens = Array.from({ length: 25 }, (_, index) => 100 + index)
const adds = { bos: 1, addsBos: true }
const cut = (options: Parameters<typeof cutWindows>[2], tokenizer = adds) =>
  Effect.runPromise(cutWindows(tokens, tokenizer, options))

describe("cutWindows()", () => {
  test("scores the second half as llama.cpp does: n_ctx − n_ctx/2 − 1 tokens, after the beginning-of-text token", async () => {
    const windows = await cut({ protocol: "llama.cpp", windowLength: 8 })
    expect(windows).toHaveLength(3)
    expect(windows[1]).toEqual({
      tokens: [1, 109, 110, 111, 112, 113, 114],
      firstScored: 4,
      targets: [113, 114, 115]
    })
  })

  test("leaves the first token where the tokenizer adds none", async () => {
    const [first] = await cut({ protocol: "llama.cpp", windowLength: 8 }, { bos: 1, addsBos: false })
    expect(first!.tokens[0]).toBe(100)
  })

  test("scores whole windows up to the first token of the next", async () => {
    const windows = await cut({ protocol: "whole_windows", windowLength: 12 })
    expect(windows).toHaveLength(2)
    expect(windows[1]).toEqual({ tokens: tokens.slice(12, 24), firstScored: 0, targets: tokens.slice(13, 25) })
  })

  test("takes the first ones, or draws them by a seed", async () => {
    const starts = async (windowSeed?: number) =>
      (
        await cut({ protocol: "whole_windows", windowLength: 2, windowCount: 5, ...(windowSeed && { windowSeed }) })
      ).map(({ tokens: [first] }) => first)
    expect(await starts()).toEqual([100, 102, 104, 106, 108])
    const drawn = await starts(3)
    expect(new Set(drawn).size).toBe(5)
    expect(drawn).toEqual(drawn.toSorted((a, b) => a! - b!))
    expect(await starts(3)).toEqual(drawn)
    expect(await starts(4)).not.toEqual(drawn)
  })

  test("refuses a text of less than a window", async () => {
    const error = await Effect.runPromise(
      Effect.flip(cutWindows(tokens, adds, { protocol: "whole_windows", windowLength: 25 }))
    )
    expect(error).toMatchObject({ _tag: "TextTooShort", tokenCount: 25, windowLength: 26 })
  })
})

describe("textTokens()", () => {
  const open = async () => {
    const { gguf } = await Effect.runPromise(openModel(models.f16))
    return Effect.runPromise(openTokenizer(gguf.metadata))
  }

  test("begins and ends every document of a file of documents, as the models were trained", async () => {
    const tokenizer = await open()
    const text = await Bun.file("test/golden/text/valid_head.txt").text()
    const windows = await Effect.runPromise(
      cutWindows(textTokens(tokenizer, text), tokenizer, { protocol: "whole_windows", windowLength: 512 })
    )
    expect([...windows[0]!.tokens, windows[0]!.targets.at(-1)!]).toEqual(reference.valid_windows[0]!.ids)
  })

  test("takes a file without document lines as one text", async () => {
    const tokenizer = await open()
    const text = "In the beginning\n<|doc|> within a line is text\n"
    expect(textTokens(tokenizer, text)).toEqual(tokenizer.encode(text))
  })
})
