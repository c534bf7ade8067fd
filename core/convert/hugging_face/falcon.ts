// How does FalconForCausalLM map to our falcon?
//
// `query_key_value` holds groups: the query heads that share a key and value head, then that key, then that value. GGUF has all
// queries, then all keys, then all values. falcon-7b is one group; falcon-rw, with as many groups as heads, has other positions.
// Source: PowerInfer, convert-hf-to-powerinfer-gguf.py (FalconModel).
import type { HeadOrder } from "../tensor_chunks.ts"
import type { WantedTensor } from "./checkpoint.ts"
import { activationRows, type CheckpointFamily, consecutiveHeads, outputTensor, unsupported } from "./family.ts"

export const falcon: CheckpointFamily = {
  classes: ["FalconForCausalLM", "RWForCausalLM"],
  describe: (config, checkpoint) => {
    const hidden = config.positive("hidden_size")
    const heads = config.positive(["num_attention_heads", "n_head"])
    const blockCount = config.positive(["num_hidden_layers", "n_layer"])
    const vocabularySize = config.positive("vocab_size")
    const ffn = config.positive("ffn_hidden_size", 4 * hidden)
    const isNew = config.bool("new_decoder_architecture", false)
    const kvHeads = isNew
      ? config.positive(["num_kv_heads", "n_head_kv"], heads)
      : config.bool("multi_query", true)
        ? 1
        : heads
    const headWidth = hidden / heads
    if (!Number.isInteger(headWidth) || heads % kvHeads !== 0) {
      throw config.invalid(`${heads} heads do not divide ${hidden} dimensions, or ${kvHeads} keys do not divide them`)
    }
    if (config.bool("alibi", false)) throw unsupported(config, "ALiBi instead of rope")
    if (!isNew && !config.bool("parallel_attn", true))
      throw unsupported(config, "attention before the FFN, not beside it")
    if (config.bool("bias", false)) throw unsupported(config, "biases in its matrices")
    if (config.get("rope_scaling") !== undefined) throw unsupported(config, "rope scaling")

    const groupRows = (heads / kvHeads + 2) * headWidth
    const order: HeadOrder = {
      headWidth,
      firstRows: [
        ...Array.from({ length: kvHeads }, (_, group) =>
          consecutiveHeads(heads / kvHeads, headWidth, group * groupRows)
        ).flat(),
        ...Array.from({ length: kvHeads }, (_, group) => (group + 1) * groupRows - 2 * headWidth),
        ...Array.from({ length: kvHeads }, (_, group) => (group + 1) * groupRows - headWidth)
      ],
      interleaves: false
    }
    const norm = (to: string, from: string): ReadonlyArray<WantedTensor> => [
      { to: `${to}.weight`, from: `transformer.${from}.weight`, shape: [hidden] },
      { to: `${to}.bias`, from: `transformer.${from}.bias`, shape: [hidden] }
    ]
    const embedding = [hidden, vocabularySize]
    const hasTwoNorms = isNew && config.positive("num_ln_in_parallel_attn", 2) === 2
    return {
      family: "falcon",
      vocabularySize,
      metadata: [
        ["falcon.context_length", "u32", config.positive("max_position_embeddings", 2048)],
        ["falcon.embedding_length", "u32", hidden],
        ["falcon.block_count", "u32", blockCount],
        ["falcon.feed_forward_length", "u32", ffn],
        ["falcon.attention.head_count", "u32", heads],
        ["falcon.attention.head_count_kv", "u32", kvHeads],
        ["falcon.vocab_size", "u32", vocabularySize],
        ["falcon.attention.layer_norm_epsilon", "f32", config.number("layer_norm_epsilon", 1e-5)],
        ["falcon.rope.freq_base", "f32", config.number("rope_theta", 10_000)],
        ["falcon.tensor_data_layout", "string", "jploski"],
        ...activationRows(config, "falcon", ["activation", "hidden_act"], "gelu")
      ],
      tensors: [
        { to: "token_embd.weight", from: "transformer.word_embeddings.weight", shape: embedding },
        ...norm("output_norm", "ln_f"),
        ...outputTensor(checkpoint, embedding, config.bool("tie_word_embeddings", true)),
        ...Array.from({ length: blockCount }, (_, block) => {
          const [to, from] = [`blk.${block}`, `h.${block}`]
          const matrix = (name: string, theirs: string, width: number, rows: number): WantedTensor => ({
            to: `${to}.${name}.weight`,
            from: `transformer.${from}.${theirs}.weight`,
            shape: [width, rows]
          })
          return [
            ...(hasTwoNorms
              ? [...norm(`${to}.attn_norm`, `${from}.ln_mlp`), ...norm(`${to}.attn_norm_2`, `${from}.ln_attn`)]
              : norm(`${to}.attn_norm`, `${from}.input_layernorm`)),
            {
              ...matrix("attn_qkv", "self_attention.query_key_value", hidden, kvHeads * groupRows),
              heads: order
            },
            matrix("attn_output", "self_attention.dense", hidden, hidden),
            matrix("ffn_up", "mlp.dense_h_to_4h", hidden, ffn),
            matrix("ffn_down", "mlp.dense_4h_to_h", ffn, hidden)
          ]
        }).flat()
      ],
      notes: []
    }
  }
}
