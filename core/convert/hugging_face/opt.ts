// How does OPTForCausalLM map to our opt?
import type { WantedTensor } from "./checkpoint.ts"
import { activationRows, type CheckpointFamily, outputTensor, unsupported } from "./family.ts"

/** Rows of the table of positions before that of position 0. */
const positionOffset = 2

export const opt: CheckpointFamily = {
  classes: ["OPTForCausalLM"],
  describe: (config, checkpoint) => {
    const hidden = config.positive("hidden_size")
    const ffn = config.positive("ffn_dim")
    const heads = config.positive("num_attention_heads")
    const blockCount = config.positive("num_hidden_layers")
    const vocabularySize = config.positive("vocab_size")
    const rows = config.positive("max_position_embeddings", 2048) + positionOffset
    // opt-350m alone has these two.
    if (config.positive("word_embed_proj_dim", hidden) !== hidden) {
      throw unsupported(config, "embeddings of another width than its blocks")
    }
    if (!config.bool("do_layer_norm_before", true)) throw unsupported(config, "norms after the blocks")

    const embedding = [hidden, vocabularySize]
    const decoder = checkpoint.prefixOf("embed_tokens.weight", ["model.decoder.", "decoder."])
    const norm = (to: string, from: string): ReadonlyArray<WantedTensor> => [
      { to: `${to}.weight`, from: `${decoder}${from}.weight`, shape: [hidden] },
      { to: `${to}.bias`, from: `${decoder}${from}.bias`, shape: [hidden] }
    ]
    const linear = (to: string, from: string, width: number, rows: number): ReadonlyArray<WantedTensor> => [
      { to: `${to}.weight`, from: `${decoder}${from}.weight`, shape: [width, rows] },
      { to: `${to}.bias`, from: `${decoder}${from}.bias`, shape: [rows], optional: true }
    ]
    return {
      family: "opt",
      vocabularySize,
      metadata: [
        // With the offset, as PowerInfer has it.
        ["opt.context_length", "u32", rows],
        ["opt.embedding_length", "u32", hidden],
        ["opt.block_count", "u32", blockCount],
        ["opt.feed_forward_length", "u32", ffn],
        ["opt.attention.head_count", "u32", heads],
        ["opt.attention.head_count_kv", "u32", heads],
        ["opt.vocab_size", "u32", vocabularySize],
        ["opt.attention.layer_norm_epsilon", "f32", 1e-5],
        ...activationRows(config, "opt", ["activation_function"], "relu")
      ],
      tensors: [
        { to: "token_embd.weight", from: `${decoder}embed_tokens.weight`, shape: embedding },
        { to: "position_embd.weight", from: `${decoder}embed_positions.weight`, shape: [hidden, rows] },
        ...norm("output_norm", "final_layer_norm"),
        ...outputTensor(checkpoint, embedding, config.bool("tie_word_embeddings", true)),
        ...Array.from({ length: blockCount }, (_, block) => {
          const [to, from] = [`blk.${block}`, `layers.${block}`]
          return [
            ...norm(`${to}.attn_norm`, `${from}.self_attn_layer_norm`),
            ...norm(`${to}.ffn_norm`, `${from}.final_layer_norm`),
            ...linear(`${to}.attn_q`, `${from}.self_attn.q_proj`, hidden, hidden),
            ...linear(`${to}.attn_k`, `${from}.self_attn.k_proj`, hidden, hidden),
            ...linear(`${to}.attn_v`, `${from}.self_attn.v_proj`, hidden, hidden),
            ...linear(`${to}.attn_output`, `${from}.self_attn.out_proj`, hidden, hidden),
            ...linear(`${to}.ffn_up`, `${from}.fc1`, hidden, ffn),
            ...linear(`${to}.ffn_down`, `${from}.fc2`, ffn, hidden)
          ]
        }).flat()
      ],
      notes: []
    }
  }
}
