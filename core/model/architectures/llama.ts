// llama and its relatives: RMS norms, interleaved rope, grouped queries, a gated FFN.
//
// The relufied and ReGLU-trained forms differ by their activation alone: `llama.hidden_activation`, or the magic PWRI.
import type { Architecture } from "../architecture.ts"

export const llama: Architecture = {
  name: "llama",
  norm: "rms",
  positions: "interleaved",
  parallel: false,
  gated: true,
  activation: "silu",
  ffnWidthKey: "feed_forward_length",
  block: (read) => ({
    attentionNorm: read.norm("attn_norm"),
    ...read.attention(),
    ffnNorm: read.norm("ffn_norm"),
    gate: read.intoFfn("ffn_gate"),
    up: read.intoFfn("ffn_up"),
    down: read.down()
  })
}
