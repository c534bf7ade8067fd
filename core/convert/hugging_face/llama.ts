// How do LlamaForCausalLM, MistralForCausalLM and BambooForCausalLM map to our llama and bamboo?
//
// Their rope turns dimensions i and i + width / 2 together, GGUF's llama turns 2i and 2i + 1: rows of q and k change places.
// Source: llama.cpp, convert_hf_to_gguf.py (LlamaModel); PowerInfer, convert.py.
import type { MetadataRow } from "../../gguf/writer.ts"
import type { HeadOrder } from "../tensor_chunks.ts"
import type { WantedTensor } from "./checkpoint.ts"
import { activationRows, type CheckpointFamily, consecutiveHeads, outputTensor, unsupported } from "./family.ts"
import type { JsonFile } from "./json_file.ts"

interface Shape {
  readonly hidden: number
  readonly ffn: number
  readonly heads: number
  readonly kvHeads: number
  readonly headWidth: number
}

const describe =
  (family: "llama" | "bamboo"): CheckpointFamily["describe"] =>
  (config, checkpoint) => {
    const hidden = config.positive("hidden_size")
    const heads = config.positive("num_attention_heads")
    const headWidth = config.positive("head_dim", hidden / heads)
    const kvHeads = config.positive("num_key_value_heads", heads)
    const shape: Shape = { hidden, ffn: config.positive("intermediate_size"), heads, kvHeads, headWidth }
    if (headWidth % 2 !== 0 || heads % kvHeads !== 0) {
      throw config.invalid(`${heads} heads of ${headWidth} dimensions and ${kvHeads} keys do not go together`)
    }
    const blockCount = config.positive("num_hidden_layers")
    const vocabularySize = config.positive("vocab_size")
    const rope = readRope(config, headWidth)
    const positions = config.positive("max_position_embeddings", 2048)
    const window = config.positive("sliding_window", positions)
    const embedding = [hidden, vocabularySize]
    const equalHeads = headWidth * heads === hidden
    const rows: ReadonlyArray<MetadataRow> = [
      // Inside its window a model with one computes what it computes without.
      [`${family}.context_length`, "u32", Math.min(positions, window)],
      [`${family}.embedding_length`, "u32", hidden],
      [`${family}.block_count`, "u32", blockCount],
      [`${family}.feed_forward_length`, "u32", shape.ffn],
      [`${family}.attention.head_count`, "u32", heads],
      [`${family}.attention.head_count_kv`, "u32", kvHeads],
      [`${family}.vocab_size`, "u32", vocabularySize],
      [`${family}.attention.layer_norm_rms_epsilon`, "f32", config.number("rms_norm_eps", 1e-6)],
      [`${family}.rope.dimension_count`, "u32", headWidth],
      [`${family}.rope.freq_base`, "f32", rope.base],
      ...(equalHeads ? [] : ([`key_length`, `value_length`] as const)).map(
        (name) => [`${family}.attention.${name}`, "u32", headWidth] as const
      ),
      ...(rope.linearFactor === 1
        ? []
        : ([
            [`${family}.rope.scaling.type`, "string", "linear"],
            [`${family}.rope.scaling.factor`, "f32", rope.linearFactor]
          ] as const)),
      ...activationRows(config, family, ["hidden_act"], family === "bamboo" ? "relu" : "silu")
    ]
    return {
      family,
      vocabularySize,
      metadata: rows,
      ...(rope.factors && { ropeFactors: rope.factors }),
      tensors: [
        { to: "token_embd.weight", from: "model.embed_tokens.weight", shape: embedding },
        { to: "output_norm.weight", from: "model.norm.weight", shape: [hidden] },
        ...outputTensor(checkpoint, embedding, config.bool("tie_word_embeddings", false)),
        ...Array.from({ length: blockCount }, (_, block) => blockTensors(block, shape)).flat()
      ],
      notes:
        window < positions
          ? [
              `The context is ${window} tokens, the window of its attention, not ${positions}: beyond it positions would have to be forgotten`
            ]
          : []
    }
  }

export const llama: CheckpointFamily = {
  classes: ["LlamaForCausalLM", "MistralForCausalLM"],
  describe: describe("llama")
}

export const bamboo: CheckpointFamily = { classes: ["BambooForCausalLM"], describe: describe("bamboo") }

const blockTensors = (
  block: number,
  { hidden, ffn, heads, kvHeads, headWidth }: Shape
): ReadonlyArray<WantedTensor> => {
  const from = `model.layers.${block}`
  const to = `blk.${block}`
  const order = (count: number): HeadOrder => ({
    headWidth,
    firstRows: consecutiveHeads(count, headWidth),
    interleaves: true
  })
  const projection = (name: string, theirs: string, count: number, heads?: HeadOrder): ReadonlyArray<WantedTensor> => {
    const rows = count * headWidth
    const names = { to: `${to}.${name}`, from: `${from}.self_attn.${theirs}` }
    return [
      { to: `${names.to}.weight`, from: `${names.from}.weight`, shape: [hidden, rows], ...(heads && { heads }) },
      { to: `${names.to}.bias`, from: `${names.from}.bias`, shape: [rows], optional: true, ...(heads && { heads }) }
    ]
  }
  const attentionOutput = { to: `${to}.attn_output`, from: `${from}.self_attn.o_proj` }
  return [
    { to: `${to}.attn_norm.weight`, from: `${from}.input_layernorm.weight`, shape: [hidden] },
    { to: `${to}.ffn_norm.weight`, from: `${from}.post_attention_layernorm.weight`, shape: [hidden] },
    ...projection("attn_q", "q_proj", heads, order(heads)),
    ...projection("attn_k", "k_proj", kvHeads, order(kvHeads)),
    ...projection("attn_v", "v_proj", kvHeads),
    {
      to: `${attentionOutput.to}.weight`,
      from: `${attentionOutput.from}.weight`,
      shape: [heads * headWidth, hidden]
    },
    { to: `${attentionOutput.to}.bias`, from: `${attentionOutput.from}.bias`, shape: [hidden], optional: true },
    { to: `${to}.ffn_gate.weight`, from: `${from}.mlp.gate_proj.weight`, shape: [hidden, ffn] },
    { to: `${to}.ffn_up.weight`, from: `${from}.mlp.up_proj.weight`, shape: [hidden, ffn] },
    { to: `${to}.ffn_down.weight`, from: `${from}.mlp.down_proj.weight`, shape: [ffn, hidden] }
  ]
}

interface Rope {
  readonly base: number
  readonly linearFactor: number
  readonly factors?: Float32Array
}

/** `rope_scaling` of older versions of transformers, `rope_parameters` of newer ones. */
const readRope = (config: JsonFile, headWidth: number): Rope => {
  const scaling = config.optionalObject("rope_scaling") ?? config.optionalObject("rope_parameters")
  const base = config.number("rope_theta", scaling?.number("rope_theta", 10_000) ?? 10_000)
  const type = scaling?.text(["rope_type", "type"], "default") ?? "default"
  if (scaling === undefined || type === "default") return { base, linearFactor: 1 }
  if (type === "linear") return { base, linearFactor: scaling.number("factor") }
  if (type === "llama3") return { base, linearFactor: 1, factors: llama3Factors(scaling, base, headWidth) }
  throw unsupported(config, `rope scaling of the type "${type}"`)
}

/** Llama 3 slows the turns that are longer than its first context, leaves those well inside it, and blends in between. */
const llama3Factors = (scaling: JsonFile, base: number, headWidth: number): Float32Array => {
  const factor = scaling.number("factor")
  const low = scaling.number("low_freq_factor")
  const high = scaling.number("high_freq_factor")
  const context = scaling.positive("original_max_position_embeddings")
  return Float32Array.from({ length: headWidth / 2 }, (_, pair) => {
    const turnsPerContext = (context * base ** ((-2 * pair) / headWidth)) / (2 * Math.PI)
    if (turnsPerContext > high) return 1
    if (turnsPerContext < low) return factor
    const smooth = (turnsPerContext - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}
