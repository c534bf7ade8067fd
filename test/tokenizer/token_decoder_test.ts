// Goal: text comes out of a stream of tokens whole characters at a time, and is the same however it is cut.
// Method: seeded random tokens, many of them parts of characters, against one decoding of all their bytes.
import { describe, expect, test } from "bun:test"
import { llama2Entries, openEntries, qwen3Entries } from "../support/published_vocabularies.ts"
import { randomFrom, randomText, texts } from "../support/texts.ts"
import { byteTokens, control, normal, openTinySpm, userDefined } from "./tiny_vocabulary.ts"

const vocabularies = { spm: openEntries(llama2Entries()), bpe: openEntries(qwen3Entries()) }
const bytes = openTinySpm([...byteTokens, ["▁a", normal], ["<|u|>", userDefined], ["<|c|>", control]])
const byteId = (value: number) => 3 + value
const [spaceA, user, stop] = [3 + 256, 4 + 256, 5 + 256]

const hasSplitCharacter = (text: string) => text.includes("\ufffd")

for (const [kind, tokenizer] of Object.entries(vocabularies)) {
  describe(`TokenDecoder of kind ${kind}`, () => {
    for (const [title, text] of Object.entries(texts)) {
      test(`push() gives whole characters of ${title}`, () => {
        const decoder = tokenizer.decoder()
        const parts = tokenizer.encode(text, { addSpecial: false }).map((id) => decoder.push(id))
        parts.push(decoder.flush())
        expect(parts.filter(hasSplitCharacter)).toEqual([])
        expect(parts.join("")).toBe(kind === "spm" ? text.replaceAll("▁", " ") : text)
      })
    }

    for (let seed = 1; seed <= 10; seed++) {
      test(`push() and flush() join to the decoding of all bytes, for random tokens (seed ${seed})`, () => {
        const random = randomFrom(seed)
        // Half of the tokens from text with many multi-byte characters, half from anywhere.
        const fromText = tokenizer.encode(randomText(random, 100), { addSpecial: false })
        const ids = Array.from({ length: 200 }, () =>
          random() < 0.5
            ? fromText[Math.floor(random() * fromText.length)]!
            : Math.floor(random() * tokenizer.vocabularySize)
        )
        const decoder = tokenizer.decoder({ previous: fromText[0]! })
        const streamed = ids.map((id) => decoder.push(id)).join("") + decoder.flush()
        expect(streamed).toBe(tokenizer.decode(ids, { previous: fromText[0]! }))
        if (kind === "bpe") expect(streamed).toBe(Buffer.concat(ids.map((id) => tokenizer.bytes(id))).toString())
      })
    }
  })
}

const pushAll = (values: ReadonlyArray<number>) => {
  const decoder = bytes.decoder()
  return [...values.map((value) => decoder.push(byteId(value))), decoder.flush()]
}

describe("TokenDecoder", () => {
  test("push() holds an incomplete character back until its last byte", () => {
    expect(pushAll([0xf0, 0x9f, 0x91, 0x8d, 0x21])).toEqual(["", "", "", "👍", "!", ""])
  })

  test("push() replaces bytes as soon as they cannot become a character", () => {
    expect(pushAll([0xe2, 0x82, 0x41])).toEqual(["", "", "\ufffdA", ""])
    expect(pushAll([0xc0, 0x41])).toEqual(["\ufffd", "A", ""])
    // A surrogate in UTF-8: the second byte already makes it impossible.
    expect(pushAll([0xed, 0xa0, 0x80])).toEqual(["", "\ufffd\ufffd", "\ufffd", ""])
    expect(pushAll([0xf4, 0x90])).toEqual(["", "\ufffd\ufffd", ""])
  })

  test("flush() replaces a character that stays incomplete", () => {
    expect(pushAll([0xf0, 0x9f])).toEqual(["", "", "\ufffd"])
  })

  test("push() keeps a byte order mark", () => {
    expect(pushAll([0xef, 0xbb, 0xbf, 0x41]).join("")).toBe("\ufeffA")
  })

  test("push() drops the space that begins a text, and no other", () => {
    expect(bytes.decode([spaceA, spaceA])).toBe("a a")
    expect(bytes.decode([1, spaceA, spaceA])).toBe("a a")
    expect(bytes.decode([spaceA], { previous: spaceA })).toBe(" a")
    expect(bytes.decode([spaceA], { previous: 1 })).toBe("a")
    expect(bytes.decode([byteId(0x41), spaceA])).toBe("A a")
  })

  test("push() leaves control tokens out unless they are asked for, and spells user-defined ones", () => {
    expect(bytes.decode([spaceA, stop, spaceA, user, spaceA])).toBe("aa<|u|>a")
    expect(bytes.decode([spaceA, stop, user], { special: true })).toBe("a<|c|><|u|>")
    expect(bytes.bytes(stop)).toEqual(new Uint8Array(0))
    expect(Buffer.from(bytes.bytes(stop, { special: true })).toString()).toBe("<|c|>")
  })

  test("push() refuses an id outside of the vocabulary", () => {
    for (const id of [-1, bytes.vocabularySize, 1.5, NaN]) {
      expect(() => bytes.decoder().push(id)).toThrow(/Cannot use token .*: the vocabulary has the ids 0 … 261/)
    }
  })
})
