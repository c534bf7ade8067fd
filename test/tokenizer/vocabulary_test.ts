// Goal: vocabularies that contradict themselves are refused in words, and the ends of a generation are all found.
// Method: one small vocabulary a rule; the published ones for what their files leave out.
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import type { MetadataValue } from "../../core/gguf/metadata.ts"
import { openTokenizer } from "../../core/tokenizer/tokenizer.ts"
import { gpt2Entries, llama3Entries, openEntries, qwen3Entries } from "../support/published_vocabularies.ts"
import { metadataOf } from "../support/tokenizer_metadata.ts"
import { byte, normal, openTinySpm, tinySpmEntries } from "./tiny_vocabulary.ts"

const failure = (entries: Record<string, MetadataValue>) =>
  Effect.runSync(Effect.flip(openTokenizer(metadataOf(entries))))
const text = (value: string): MetadataValue => ({ type: "string", value })
const id = (value: number): MetadataValue => ({ type: "u32", value })
const letters = [["a", normal] as const]

const llama3 = llama3Entries()
const qwen3 = qwen3Entries()
const gpt2 = gpt2Entries("gpt-2")
const endsOf = (entries: Record<string, MetadataValue>) => {
  const tokenizer = openEntries(entries)
  return [...tokenizer.endOfGeneration].map((end) => tokenizer.decode([end], { special: true })).sort()
}

const tinyBpe = (entries: Record<string, MetadataValue>): Record<string, MetadataValue> => ({
  ...gpt2,
  ...entries
})
const { "tokenizer.ggml.eos_token_id": _eos, ...gpt2WithoutEos } = gpt2

const refused: ReadonlyArray<{
  readonly title: string
  readonly entries: Record<string, MetadataValue>
  readonly tag: string
  readonly message: RegExp
}> = [
  {
    title: "an unknown model",
    entries: tinySpmEntries(letters, { "tokenizer.ggml.model": text("t5") }),
    tag: "UnsupportedTokenizer",
    message: /tokenizer\.ggml\.model is "t5"; use a model with one of llama, gpt2/
  },
  {
    title: "an unknown pre-tokenizer",
    entries: tinyBpe({ "tokenizer.ggml.pre": text("superbpe") }),
    tag: "UnsupportedTokenizer",
    message: /tokenizer\.ggml\.pre is "superbpe"/
  },
  { title: "no model", entries: {}, tag: "MissingMetadata", message: /tokenizer\.ggml\.model/ },
  {
    title: "tokens that are numbers",
    entries: tinySpmEntries(letters, { "tokenizer.ggml.tokens": { type: "u32[]", value: Uint32Array.of(1) } }),
    tag: "InvalidMetadata",
    message: /tokenizer\.ggml\.tokens/
  },
  {
    title: "too few scores",
    entries: tinySpmEntries(letters, { "tokenizer.ggml.scores": { type: "f32[]", value: Float32Array.of(0) } }),
    tag: "InvalidVocabulary",
    message: /there are 4 tokens, but 1 scores/
  },
  {
    title: "a score that is no number",
    entries: tinySpmEntries([["a", normal, NaN]]),
    tag: "InvalidVocabulary",
    message: /a score is not a finite number/
  },
  {
    title: "too many types",
    entries: tinySpmEntries(letters, { "tokenizer.ggml.token_type": { type: "i32[]", value: new Int32Array(5) } }),
    tag: "InvalidVocabulary",
    message: /there are 4 tokens, but 5 token types/
  },
  {
    title: "a token twice",
    entries: tinySpmEntries([...letters, ...letters]),
    tag: "InvalidVocabulary",
    message: /tokens 3 and 4 are both "a"/
  },
  {
    title: "a byte token that names no byte",
    entries: tinySpmEntries([["<0xZZ>", byte]]),
    tag: "InvalidVocabulary",
    message: /token 3 is a byte, but is spelled "<0xZZ>"/
  },
  {
    title: "bos beyond the end",
    entries: tinySpmEntries(letters, { "tokenizer.ggml.bos_token_id": id(4) }),
    tag: "TokenIdOutOfRange",
    message: /tokenizer\.ggml\.bos_token_id 4: the vocabulary has the ids 0 … 3/
  },
  {
    title: "a demand for an eos that is not there",
    entries: {
      ...gpt2WithoutEos,
      "tokenizer.ggml.add_eos_token": { type: "bool", value: true }
    },
    tag: "InvalidVocabulary",
    message: /add_eos_token is true, but tokenizer\.ggml\.eos_token_id is missing/
  },
  {
    title: "a merge of one part",
    entries: tinyBpe({ "tokenizer.ggml.merges": { type: "string[]", value: ["ab"] } }),
    tag: "InvalidVocabulary",
    message: /merge 0 is not two parts: "ab"/
  },
  {
    title: "bytes without a token",
    entries: tinyBpe({
      "tokenizer.ggml.tokens": { type: "string[]", value: ["a", "b"] },
      "tokenizer.ggml.token_type": { type: "i32[]", value: Int32Array.of(1, 1) },
      "tokenizer.ggml.bos_token_id": id(0),
      "tokenizer.ggml.eos_token_id": id(0)
    }),
    tag: "InvalidVocabulary",
    message: /no token stands for byte 0/
  }
]

describe("openTokenizer()", () => {
  for (const { title, entries, tag, message } of refused) {
    test(`refuses ${title}`, () => {
      const error = failure(entries)
      expect(error._tag as string).toBe(tag)
      expect(error.message).toMatch(message)
    })
  }

  test("opens a vocabulary with empty tokens", () => {
    const tokenizer = openTinySpm([
      ["", normal],
      ["a", normal],
      ["▁", normal]
    ])
    expect(tokenizer.decode(tokenizer.encode("a"))).toBe("a")
  })

  test("adds bos by default only where the family does and the file has one", () => {
    const { "tokenizer.ggml.bos_token_id": _bos, ...entries } = gpt2
    const named = { ...entries, "tokenizer.ggml.pre": text("llama-bpe") }
    expect(openEntries(named).addsBos).toBe(false)
    expect(openEntries({ ...named, "tokenizer.ggml.bos_token_id": id(50256) }).addsBos).toBe(true)
    expect(openEntries(gpt2).addsBos).toBe(false)
    expect(openTinySpm(letters).addsBos).toBe(true)
  })
})

describe("Tokenizer.endOfGeneration", () => {
  test("has the ends that the metadata and the spellings name", () => {
    const ends = [
      ["<|im_end|>", normal],
      ["<|file_sep|>", normal],
      ["x", normal],
      ["y", normal]
    ] as const
    const tokenizer = openTinySpm(ends, { "tokenizer.ggml.eot_token_id": id(5) })
    expect([...tokenizer.endOfGeneration].sort()).toEqual([2, 3, 4, 5])
  })

  test("makes control tokens of them, so that text cannot end a generation", () => {
    const tokenizer = openTinySpm([["<|im_end|>", normal]])
    expect(tokenizer.controlTokens.has(3)).toBe(true)
  })

  test("has the ends of published vocabularies, whose files name only one", () => {
    expect(endsOf(llama3)).toEqual(["<|end_of_text|>", "<|eot_id|>"])
    // "</s>" is an ordinary token there.
    expect(endsOf(qwen3)).toEqual(["<|endoftext|>", "<|file_sep|>", "<|fim_pad|>", "<|im_end|>", "<|repo_name|>"])
  })
})
