// falcon: attention and FFN side by side on the block's input, q, k and v in one tensor, rope by halves, layer norms.
//
// 7B has one norm for both; 40B and 180B have two, and there `attn_norm` is the FFN's, `attn_norm_2` the attention's.
import type { Architecture } from "../architecture.ts"

export const falcon: Architecture = {
  name: "falcon",
  norm: "layer",
  positions: "halves",
  parallel: true,
  gated: false,
  activation: "gelu",
  ffnWidthKey: "feed_forward_length",
  check: (file) => {
    // The only layout in use: all rows of q, then of k, then of v.
    const layout = file.text("tensor_data_layout", "jploski")
    if (layout !== "jploski") throw file.unsupported(`the layout "${layout}" of its attn_qkv tensors`)
  },
  block: (read) => ({
    attentionNorm: read.norm(read.has("attn_norm_2.weight") ? "attn_norm_2" : "attn_norm"),
    ...read.fusedAttention(),
    ffnNorm: read.norm("attn_norm"),
    up: read.intoFfn("ffn_up"),
    down: read.down()
  })
}
