// smallthinker with one expert: llama with rope by halves and a ReLU gate, its FFN named as an expert's.
//
// The router chooses among one and its weight is normalized to 1, so it is left out. A sliding window also switches rope
// off in every fourth block there, whatever its length. Source: ggml-org/llama.cpp src/models/smallthinker.cpp.
import type { Architecture } from "../architecture.ts"
import { qwen2 } from "./qwen2.ts"

export const smallthinker: Architecture = {
  ...qwen2,
  name: "smallthinker",
  activation: "relu",
  ffnWidthKey: "expert_feed_forward_length",
  check: (file) => {
    const experts = file.positive("expert_count")
    if (experts !== 1) throw file.unsupported(`${experts} experts`)
    if (file.number("attention.sliding_window", 0) > 0) throw file.unsupported("blocks without rope (a sliding window)")
    const scale = file.number("expert_weights_scale", 1)
    if (scale !== 0 && scale !== 1) throw file.unsupported(`experts weighted by ${scale}`)
    const blocks = file.positive("block_count")
    for (let block = 0; block < blocks && file.hasTensor(router(block)); block++) file.leaveOut(router(block))
  },
  block: (read) => ({
    attentionNorm: read.norm("attn_norm"),
    ...read.attention(),
    ffnNorm: read.norm("ffn_norm"),
    gate: read.intoFfn("ffn_gate_exps"),
    up: read.intoFfn("ffn_up_exps"),
    down: read.down("ffn_down_exps")
  })
}

const router = (block: number): string => `blk.${block}.ffn_gate_inp.weight`
