// Which keys and tensors does a file of each family have, written down a second time and from the writer's side?
import type { MetadataRow } from "../gguf/writer.ts"

/** The families that tiny models can be made of. */
export type TinyFamily = "llama" | "bamboo" | "opt" | "falcon" | "qwen2" | "qwen3" | "smallthinker"

/** The sizes of a tiny model. `headWidth` defaults to hiddenWidth / headCount. */
export interface TinyShape {
  readonly blockCount: number
  readonly hiddenWidth: number
  readonly ffnWidth: number
  readonly headCount: number
  readonly kvHeadCount: number
  readonly headWidth: number
  readonly vocabularySize: number
  readonly contextLength: number
}

/** A matrix or vector of a tiny model: what its random values look like. */
export interface TinyTensor {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  /** `matrix`: variance 1 / width; `norm`: around 1; `bias`: around 0, small. */
  readonly kind: "matrix" | "norm" | "bias"
}

interface Family {
  readonly metadata: (shape: TinyShape) => ReadonlyArray<MetadataRow>
  readonly tensors: (shape: TinyShape) => ReadonlyArray<TinyTensor>
}

const sizes = (family: TinyFamily, epsilonKey: string, shape: TinyShape): ReadonlyArray<MetadataRow> => [
  [`${family}.context_length`, "u32", shape.contextLength],
  [`${family}.embedding_length`, "u32", shape.hiddenWidth],
  [`${family}.block_count`, "u32", shape.blockCount],
  [`${family}.feed_forward_length`, "u32", shape.ffnWidth],
  [`${family}.attention.head_count`, "u32", shape.headCount],
  [`${family}.attention.head_count_kv`, "u32", shape.kvHeadCount],
  [`${family}.attention.${epsilonKey}`, "f32", 1e-5],
  // Files leave these out where heads divide the hidden width.
  ...(shape.headWidth * shape.headCount === shape.hiddenWidth ? [] : headWidths(family, shape))
]

const headWidths = (family: TinyFamily, { headWidth }: TinyShape): ReadonlyArray<MetadataRow> => [
  [`${family}.attention.key_length`, "u32", headWidth],
  [`${family}.attention.value_length`, "u32", headWidth],
  [`${family}.rope.dimension_count`, "u32", headWidth]
]

const rmsSizes = (family: TinyFamily) => (shape: TinyShape) => sizes(family, "layer_norm_rms_epsilon", shape)

const matrix = (name: string, ...shape: ReadonlyArray<number>): TinyTensor => ({
  name: `${name}.weight`,
  shape,
  kind: "matrix"
})
const norm = (name: string, width: number): TinyTensor => ({ name: `${name}.weight`, shape: [width], kind: "norm" })
const bias = (name: string, width: number): TinyTensor => ({ name: `${name}.bias`, shape: [width], kind: "bias" })

/** Embeddings, output, and for every block what `block` lists under its prefix. */
const withBlocks = (
  block: (shape: TinyShape) => ReadonlyArray<TinyTensor>,
  ...more: ReadonlyArray<(shape: TinyShape) => TinyTensor>
) => {
  return (shape: TinyShape): ReadonlyArray<TinyTensor> => [
    matrix("token_embd", shape.hiddenWidth, shape.vocabularySize),
    norm("output_norm", shape.hiddenWidth),
    matrix("output", shape.hiddenWidth, shape.vocabularySize),
    ...more.map((tensor) => tensor(shape)),
    ...Array.from({ length: shape.blockCount }, (_, index) =>
      block(shape).map(({ name, shape, kind }) => ({ name: `blk.${index}.${name}`, shape, kind }))
    ).flat()
  ]
}

const attention = ({ hiddenWidth, headCount, kvHeadCount, headWidth }: TinyShape): ReadonlyArray<TinyTensor> => [
  norm("attn_norm", hiddenWidth),
  matrix("attn_q", hiddenWidth, headCount * headWidth),
  matrix("attn_k", hiddenWidth, kvHeadCount * headWidth),
  matrix("attn_v", hiddenWidth, kvHeadCount * headWidth),
  matrix("attn_output", headCount * headWidth, hiddenWidth)
]

const attentionBiases = ({ headCount, kvHeadCount, headWidth }: TinyShape): ReadonlyArray<TinyTensor> => [
  bias("attn_q", headCount * headWidth),
  bias("attn_k", kvHeadCount * headWidth),
  bias("attn_v", kvHeadCount * headWidth)
]

const gatedFfn = ({ hiddenWidth, ffnWidth }: TinyShape): ReadonlyArray<TinyTensor> => [
  norm("ffn_norm", hiddenWidth),
  matrix("ffn_gate", hiddenWidth, ffnWidth),
  matrix("ffn_up", hiddenWidth, ffnWidth),
  matrix("ffn_down", ffnWidth, hiddenWidth)
]

const llamaBlock = (shape: TinyShape) => [...attention(shape), ...gatedFfn(shape)]

/** One entry a family. */
export const tinyFamilies: { readonly [Name in TinyFamily]: Family } = {
  llama: { metadata: rmsSizes("llama"), tensors: withBlocks(llamaBlock) },
  bamboo: { metadata: rmsSizes("bamboo"), tensors: withBlocks(llamaBlock) },
  qwen2: {
    metadata: rmsSizes("qwen2"),
    tensors: withBlocks((shape) => [...llamaBlock(shape), ...attentionBiases(shape)])
  },
  qwen3: {
    metadata: rmsSizes("qwen3"),
    tensors: withBlocks((shape) => [
      ...llamaBlock(shape),
      norm("attn_q_norm", shape.headWidth),
      norm("attn_k_norm", shape.headWidth)
    ])
  },
  smallthinker: {
    metadata: (shape) => [
      ...rmsSizes("smallthinker")(shape),
      ["smallthinker.expert_feed_forward_length", "u32", shape.ffnWidth],
      ["smallthinker.expert_count", "u32", 1],
      ["smallthinker.expert_used_count", "u32", 1],
      // 1 is softmax in llama.cpp's enum.
      ["smallthinker.expert_gating_func", "u32", 1]
    ],
    tensors: withBlocks((shape) => [
      ...attention(shape),
      norm("ffn_norm", shape.hiddenWidth),
      matrix("ffn_gate_inp", shape.hiddenWidth, 1),
      matrix("ffn_gate_exps", shape.hiddenWidth, shape.ffnWidth, 1),
      matrix("ffn_up_exps", shape.hiddenWidth, shape.ffnWidth, 1),
      matrix("ffn_down_exps", shape.ffnWidth, shape.hiddenWidth, 1)
    ])
  },
  opt: {
    metadata: (shape) => sizes("opt", "layer_norm_epsilon", shape),
    tensors: withBlocks(
      (shape) => [
        ...attention(shape),
        bias("attn_norm", shape.hiddenWidth),
        ...attentionBiases(shape),
        bias("attn_output", shape.hiddenWidth),
        norm("ffn_norm", shape.hiddenWidth),
        bias("ffn_norm", shape.hiddenWidth),
        matrix("ffn_up", shape.hiddenWidth, shape.ffnWidth),
        bias("ffn_up", shape.ffnWidth),
        matrix("ffn_down", shape.ffnWidth, shape.hiddenWidth),
        bias("ffn_down", shape.hiddenWidth)
      ],
      (shape) => matrix("position_embd", shape.hiddenWidth, shape.contextLength + 2),
      (shape) => bias("output_norm", shape.hiddenWidth)
    )
  },
  falcon: {
    metadata: (shape) => [
      ...sizes("falcon", "layer_norm_epsilon", shape),
      ["falcon.tensor_data_layout", "string", "jploski"]
    ],
    tensors: withBlocks(
      ({ hiddenWidth, ffnWidth, headCount, kvHeadCount, headWidth }) => [
        norm("attn_norm", hiddenWidth),
        bias("attn_norm", hiddenWidth),
        // With one key and value head the model has falcon-7b's form, with more falcon-40b's.
        ...(kvHeadCount > 1 ? [norm("attn_norm_2", hiddenWidth), bias("attn_norm_2", hiddenWidth)] : []),
        matrix("attn_qkv", hiddenWidth, (headCount + 2 * kvHeadCount) * headWidth),
        matrix("attn_output", headCount * headWidth, hiddenWidth),
        matrix("ffn_up", hiddenWidth, ffnWidth),
        matrix("ffn_down", ffnWidth, hiddenWidth)
      ],
      (shape) => bias("output_norm", shape.hiddenWidth)
    )
  }
}
