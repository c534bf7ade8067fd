// OPT: learned positions, layer norms and biases everywhere, an ungated ReLU FFN, tied output.
//
// llama.cpp has no such family; tensor names are PowerInfer's, keys are defined in docs/file_formats.md.
import type { Architecture } from "../architecture.ts"

export const opt: Architecture = {
  name: "opt",
  norm: "layer",
  // PowerInfer's converter writes no epsilon; this is what PyTorch's LayerNorm, and so every OPT, has.
  normEpsilon: 1e-5,
  positions: "learned",
  parallel: false,
  gated: false,
  activation: "relu",
  ffnWidthKey: "feed_forward_length",
  check: (file) => {
    // opt-350m alone: embeddings of width 512 before a projection to 1024, and norms after each half of a block.
    const hiddenWidth = file.positive("embedding_length")
    const embeddingWidth = file.positive("word_embed_proj_dim", hiddenWidth)
    if (embeddingWidth !== hiddenWidth)
      throw file.unsupported(`embeddings of width ${embeddingWidth} before a projection`)
    if (!file.gguf.metadata.bool(file.key("do_layer_norm_before"), true))
      throw file.unsupported("norms after the blocks")
  },
  block: (read) => ({
    attentionNorm: read.norm("attn_norm"),
    ...read.attention(),
    ffnNorm: read.norm("ffn_norm"),
    up: read.intoFfnWithBias("ffn_up"),
    down: read.down()
  })
}
