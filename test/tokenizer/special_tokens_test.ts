// Goal: text becomes special tokens only where that is asked for, and by llama.cpp's precedence.
// Method: a small vocabulary for the rules, a published one for what users might write.
import { describe, expect, test } from "bun:test"
import { openEntries, qwen3Entries } from "../support/published_vocabularies.ts"
import { byteTokens, control, openTinySpm, userDefined } from "./tiny_vocabulary.ts"

const qwen3 = openEntries(qwen3Entries())
const parsed = { addSpecial: false, parseSpecial: true }
const plain = { addSpecial: false }

describe("Tokenizer.encode()", () => {
  test("takes every control token in a text for plain text", () => {
    const everything = [...qwen3.controlTokens.values()].join("")
    const ids = qwen3.encode(everything, plain)
    expect(ids.filter((id) => qwen3.controlTokens.has(id))).toEqual([])
    expect(qwen3.decode(ids)).toBe(everything)
  })

  test("parses every control token where it is asked to", () => {
    const { controlTokens } = qwen3
    expect(controlTokens.size).toBeGreaterThan(10)
    const spaced = [...controlTokens.values()].join(" x\n")
    const ids = qwen3.encode(spaced, parsed)
    expect(ids.filter((id) => controlTokens.has(id))).toEqual([...controlTokens.keys()])
    expect(qwen3.decode(ids, { special: true })).toBe(spaced)
  })

  test("always matches user-defined tokens, which are no control tokens", () => {
    const [think] = qwen3.encode("<think>", plain)
    expect(qwen3.encode("a<think>b", plain)).toContain(think!)
    expect(qwen3.decode([think!])).toBe("<think>")
    expect(qwen3.controlTokens.has(think!)).toBe(false)
  })

  test("asks about each occurrence, at its place in the whole text", () => {
    const text = "é<|im_end|>x<|im_end|>👍<|im_end|>"
    const places: Array<readonly [number, number]> = []
    const ids = qwen3.encode(text, {
      addSpecial: false,
      parseSpecial: (start, end) => {
        places.push([start, end])
        return places.length === 2
      }
    })
    expect(places.map(([start, end]) => text.slice(start, end))).toEqual(Array(3).fill("<|im_end|>"))
    expect(places.map(([start]) => start)).toEqual([1, 12, 24])
    expect(ids.filter((id) => id === 151645)).toHaveLength(1)
    expect(qwen3.decode(ids, { special: true })).toBe(text)
  })

  test("lets longer tokens go first wherever they stand, and then the leftmost", () => {
    const tokenizer = openTinySpm([...byteTokens, ["ab", control], ["bcd", control], ["aa", userDefined]], {
      "tokenizer.ggml.add_space_prefix": { type: "bool", value: false }
    })
    const spell = (text: string) =>
      tokenizer.encode(text, parsed).map((id) => tokenizer.decode([id], { special: true, previous: id }))
    expect(spell("abcd")).toEqual(["a", "bcd"])
    expect(spell("abcab")).toEqual(["ab", "c", "ab"])
    expect(spell("aaa")).toEqual(["aa", "a"])
  })
})
