// What would a tiny model look like as Hugging Face saves it? The way back from GGUF, written from transformers' side.
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { GgufToWrite, MetadataRow } from "@powerinfer/core"
import { type TinyModel, tinyModel, tinyShape } from "@powerinfer/core/testing"

/** A tensor of a safetensors file: PyTorch's order of dimensions. */
export interface SavedTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly bytes: Uint8Array
}

/** The bytes of a safetensors file. */
export const safetensors = (tensors: ReadonlyArray<SavedTensor>): Uint8Array => {
  let at = 0
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } }
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  return safetensorsOf(JSON.stringify(header), Buffer.concat(tensors.map(({ bytes }) => bytes)))
}

/** The same of any header. */
export const safetensorsOf = (header: string, data: Uint8Array): Uint8Array => {
  const bytes = new TextEncoder().encode(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(bytes.length))
  return Buffer.concat([length, bytes, data])
}

type Family = "llama" | "bamboo" | "falcon" | "opt"

/** The names of a block's parts, and of what is outside. */
const names: { readonly [Name in Family]: Readonly<Record<string, string>> } = {
  llama: {
    token_embd: "model.embed_tokens",
    output_norm: "model.norm",
    attn_norm: "input_layernorm",
    ffn_norm: "post_attention_layernorm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.o_proj",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_down: "mlp.down_proj"
  },
  bamboo: {},
  falcon: {
    token_embd: "transformer.word_embeddings",
    output_norm: "transformer.ln_f",
    attn_qkv: "self_attention.query_key_value",
    attn_output: "self_attention.dense",
    ffn_up: "mlp.dense_h_to_4h",
    ffn_down: "mlp.dense_4h_to_h"
  },
  opt: {
    token_embd: "model.decoder.embed_tokens",
    position_embd: "model.decoder.embed_positions",
    output_norm: "model.decoder.final_layer_norm",
    attn_norm: "self_attn_layer_norm",
    ffn_norm: "final_layer_norm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.out_proj",
    ffn_up: "fc1",
    ffn_down: "fc2"
  }
}

const blocks: { readonly [Name in Family]: string } = {
  llama: "model.layers",
  bamboo: "model.layers",
  falcon: "transformer.h",
  opt: "model.decoder.layers"
}

/** A tiny model, and the files of the same model as Hugging Face has them. */
export const tinyCheckpoint = (model: TinyModel & { readonly family: Family }) => {
  const shape = tinyShape(model)
  const gguf = tinyModel(model)
  const { family } = model
  const twoNorms = gguf.tensors.some(({ name }) => name.includes("attn_norm_2"))
  const nameOf = (name: string): string => {
    if (name === "output.weight") return "lm_head.weight"
    const [, block, part, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name)!
    const known = names[family === "bamboo" ? "llama" : family]
    const norms: Record<string, string> = twoNorms
      ? { attn_norm: "ln_mlp", attn_norm_2: "ln_attn" }
      : { attn_norm: "input_layernorm" }
    const theirs = known[part!] ?? norms[part!]!
    return block === undefined ? `${theirs}.${kind}` : `${blocks[family]}.${block}.${theirs}.${kind}`
  }
  /** Row of their tensor → row of ours. */
  const rowOf = (name: string): ((row: number) => number) => {
    const { headWidth, headCount, kvHeadCount } = shape
    if (/attn_[qk]\./.test(name) && family !== "opt") {
      // rotate_half: dimension i turns with i + w/2.
      return (row) => {
        const [head, i] = [Math.floor(row / headWidth), row % headWidth]
        return head * headWidth + (i < headWidth / 2 ? 2 * i : 2 * (i - headWidth / 2) + 1)
      }
    }
    if (!name.includes("attn_qkv")) return (row) => row
    // view(kv heads, heads / kv heads + 2, head width): queries, a key, a value.
    const group = headCount / kvHeadCount
    return (row) => {
      const [unit, i] = [Math.floor(row / headWidth), row % headWidth]
      const [g, place] = [Math.floor(unit / (group + 2)), unit % (group + 2)]
      const head = place < group ? g * group + place : headCount + (place === group ? 0 : kvHeadCount) + g
      return head * headWidth + i
    }
  }
  const saved = gguf.tensors.map((tensor): SavedTensor => {
    const bytes = Buffer.concat([...tensor.chunks()])
    const rows = tensor.shape.at(-1)!
    const rowBytes = bytes.length / rows
    const row = rowOf(tensor.name)
    const ordered = Array.from({ length: rows }, (_, i) => bytes.subarray(row(i) * rowBytes, (row(i) + 1) * rowBytes))
    return { name: nameOf(tensor.name), dtype: "F32", shape: tensor.shape.toReversed(), bytes: Buffer.concat(ordered) }
  })
  return { gguf, saved, config: configs[family](shape, model) }
}

type Shape = ReturnType<typeof tinyShape>

const classes = { llama: "LlamaForCausalLM", bamboo: "BambooForCausalLM" }

const llamaConfig =
  (family: "llama" | "bamboo") =>
  (shape: Shape, model: TinyModel): object => ({
    architectures: [classes[family]],
    vocab_size: shape.vocabularySize,
    hidden_size: shape.hiddenWidth,
    intermediate_size: shape.ffnWidth,
    num_hidden_layers: shape.blockCount,
    num_attention_heads: shape.headCount,
    num_key_value_heads: shape.kvHeadCount,
    head_dim: shape.headWidth,
    max_position_embeddings: shape.contextLength,
    rms_norm_eps: 1e-5,
    hidden_act: model.activation ?? (family === "bamboo" ? "relu" : "silu"),
    tie_word_embeddings: model.tied ?? false,
    bos_token_id: 1,
    eos_token_id: 2
  })

const configs: { readonly [Name in Family]: (shape: Shape, model: TinyModel) => object } = {
  llama: llamaConfig("llama"),
  bamboo: llamaConfig("bamboo"),
  falcon: (shape, model) => ({
    architectures: ["FalconForCausalLM"],
    vocab_size: shape.vocabularySize,
    hidden_size: shape.hiddenWidth,
    ffn_hidden_size: shape.ffnWidth,
    num_hidden_layers: shape.blockCount,
    num_attention_heads: shape.headCount,
    num_kv_heads: shape.kvHeadCount,
    new_decoder_architecture: shape.kvHeadCount > 1,
    multi_query: true,
    max_position_embeddings: shape.contextLength,
    layer_norm_epsilon: 1e-5,
    activation: model.activation ?? "gelu",
    tie_word_embeddings: model.tied ?? false
  }),
  opt: (shape, model) => ({
    architectures: ["OPTForCausalLM"],
    vocab_size: shape.vocabularySize,
    hidden_size: shape.hiddenWidth,
    word_embed_proj_dim: shape.hiddenWidth,
    ffn_dim: shape.ffnWidth,
    num_hidden_layers: shape.blockCount,
    num_attention_heads: shape.headCount,
    max_position_embeddings: shape.contextLength,
    activation_function: "relu",
    do_layer_norm_before: true,
    tie_word_embeddings: model.tied ?? false
  })
}

/** Writes what `tinyCheckpoint` gives, in one part or two, with the tokenizer of tiny models. */
export const writeCheckpoint = (
  directory: string,
  {
    saved,
    config,
    gguf
  }: { readonly saved: ReadonlyArray<SavedTensor>; readonly config: object; readonly gguf: GgufToWrite },
  parts: 1 | 2 = 1
): void => {
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "config.json"), JSON.stringify(config))
  writeFileSync(join(directory, "tokenizer.model"), sentencePieceModel(gguf.metadata))
  if (parts === 1) return writeFileSync(join(directory, "model.safetensors"), safetensors(saved))
  const half = Math.ceil(saved.length / 2)
  const weightMap: Record<string, string> = {}
  for (const [part, tensors] of [saved.slice(0, half), saved.slice(half)].entries()) {
    const name = `model-0000${part + 1}-of-00002.safetensors`
    writeFileSync(join(directory, name), safetensors(tensors))
    for (const tensor of tensors) weightMap[tensor.name] = name
  }
  writeFileSync(join(directory, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }))
}

const varint = (value: number): Uint8Array => {
  const bytes: Array<number> = []
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128)
  return Uint8Array.of(...bytes, value)
}

/** One field of a protobuf message: a number, or bytes with their length. */
export const protobufField = (number: number, value: number | Uint8Array): Uint8Array =>
  typeof value === "number"
    ? Buffer.concat([varint(number * 8), varint(value)])
    : Buffer.concat([varint(number * 8 + 2), varint(value.length), value])

/** A piece of a SentencePiece model. */
export const sentencePiece = (text: string, score: number, type: number): Uint8Array => {
  const bytes = Buffer.alloc(5)
  bytes[0] = 2 * 8 + 5
  bytes.writeFloatLE(score, 1)
  // A normal piece leaves its type out.
  const tail = type === 1 ? [] : [protobufField(3, type)]
  return protobufField(1, Buffer.concat([protobufField(1, new TextEncoder().encode(text)), bytes, ...tail]))
}

/** Trainer and normalizer as those of Llama: BPE, a space before every text. */
export const sentencePieceSettings: Uint8Array = Buffer.concat([
  protobufField(2, Buffer.concat([protobufField(4, 4096), protobufField(3, 2)])),
  protobufField(3, Buffer.concat([protobufField(1, new TextEncoder().encode("identity")), protobufField(3, 1)]))
])

const sentencePieceModel = (metadata: ReadonlyArray<MetadataRow>): Uint8Array => {
  const value = (key: string) => metadata.find(([name]) => name === `tokenizer.ggml.${key}`)![2]
  const tokens = value("tokens") as ReadonlyArray<string>
  const scores = value("scores") as Float32Array
  const types = value("token_type") as Int32Array
  return Buffer.concat([
    ...tokens.map((token, id) => sentencePiece(token, scores[id]!, types[id]!)),
    sentencePieceSettings
  ])
}
