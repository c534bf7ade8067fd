// Goal: text is cut into words as each family of vocabularies was trained on.
// Method: cases worked out by hand from the published patterns. (bpe_test compares whole encodings with other programs.)
import { describe, expect, test } from "bun:test"
import { readPreTokenizer, splitWords } from "../../core/tokenizer/pre_tokenizer.ts"
import { UnsupportedTokenizer } from "../../core/tokenizer/tokenizer_error.ts"
import { randomFrom, randomText, texts } from "../support/texts.ts"
import { metadataOf } from "../support/tokenizer_metadata.ts"

const preTokenizer = (pre: string | undefined, architecture = "llama") =>
  readPreTokenizer(
    metadataOf({
      "general.architecture": { type: "string", value: architecture },
      ...(pre !== undefined && { "tokenizer.ggml.pre": { type: "string", value: pre } as const })
    })
  )

const names = ["llama-bpe", "qwen2", "gpt-2", "falcon", "default"]

const cases: ReadonlyArray<{ readonly pre: string; readonly text: string; readonly words: ReadonlyArray<string> }> = [
  // Falcon: punctuation stands alone, so contractions are never seen, and a space before it is a word.
  { pre: "falcon", text: "Hello, world's end", words: ["Hello", ",", " world", "'", "s", " end"] },
  { pre: "falcon", text: "a ,b", words: ["a", " ", ",", "b"] },
  { pre: "falcon", text: "x += 1;", words: ["x", " ", "+=", " 1", ";"] },
  { pre: "falcon", text: "12345678 1234", words: ["123", "456", "78", " ", "123", "4"] },
  { pre: "falcon", text: "a  b\n\n", words: ["a", " ", " b", "\n\n"] },
  { pre: "falcon", text: "€5 `x` ٣٣٣", words: ["€", "5", " ", "`", "x", "`", " ٣٣٣"] },
  { pre: "default", text: "ab12345 `x`", words: ["ab", "123", "45", " `", "x", "`"] },
  { pre: "gpt-2", text: "Hello, world's 123", words: ["Hello", ",", " world", "'s", " 123"] },
  { pre: "gpt-2", text: "WE'LL  go\n\n x", words: ["WE", "'", "LL", " ", " go", "\n\n", " x"] },
  {
    pre: "llama-bpe",
    text: "WE'LL pay 12345\n\n  now",
    words: ["WE", "'LL", " pay", " ", "123", "45", "\n\n", " ", " now"]
  },
  { pre: "llama-bpe", text: "a.b\tc !!\nd", words: ["a", ".b", "\tc", " !!\n", "d"] },
  { pre: "qwen2", text: "a 123", words: ["a", " ", "1", "2", "3"] },
  // White space is Unicode's: U+0085 is, U+FEFF is not, whatever JavaScript's \s says.
  { pre: "gpt-2", text: "a\u0085\u0085b\ufeffc", words: ["a", "\u0085", "\u0085", "b", "\ufeff", "c"] }
]

describe("splitWords()", () => {
  for (const { pre, text, words } of cases) {
    test(`cuts ${JSON.stringify(text)} for ${pre}`, () => {
      expect(splitWords(preTokenizer(pre), text)).toEqual([...words])
    })
  }

  for (const pre of names) {
    test(`loses nothing of any text for ${pre} (seed 7)`, () => {
      const random = randomFrom(7)
      for (const text of [...Object.values(texts), ...Array.from({ length: 100 }, () => randomText(random))]) {
        const words = splitWords(preTokenizer(pre), text)
        expect(words.join("")).toBe(text)
        expect(text === "" || words.every((word) => word !== "")).toBe(true)
      }
    })
  }
})

describe("readPreTokenizer()", () => {
  test("knows what a family uses where the file does not say", () => {
    expect(preTokenizer(undefined, "falcon")).toBe(preTokenizer("falcon"))
    expect(preTokenizer(undefined, "opt")).toBe(preTokenizer("gpt-2"))
    expect(preTokenizer(undefined, "qwen3")).toBe(preTokenizer("qwen2"))
    expect(preTokenizer(undefined, "llama")).toBe(preTokenizer("default"))
  })

  test("takes the name in the file before the family", () => {
    expect(preTokenizer("llama-bpe", "falcon")).toBe(preTokenizer("llama3"))
  })

  test("refuses a name that it does not know, and lists those that it does", () => {
    expect(() => preTokenizer("deepseek-v3")).toThrow(UnsupportedTokenizer)
    expect(() => preTokenizer("deepseek-v3")).toThrow(/tokenizer\.ggml\.pre is "deepseek-v3".*llama-bpe/)
  })
})
