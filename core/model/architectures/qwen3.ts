// qwen3: qwen2 without biases; every head of q and k is normalized before rope, and heads have a width of their own.
import type { Architecture } from "../architecture.ts"
import { qwen2 } from "./qwen2.ts"

export const qwen3: Architecture = {
  ...qwen2,
  name: "qwen3",
  block: (read) => ({
    ...qwen2.block(read),
    qNorm: read.headNorm("attn_q_norm"),
    kNorm: read.headNorm("attn_k_norm")
  })
}
