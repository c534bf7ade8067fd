// In which type is each tensor of a planted file stored?
import type { QuantizableTypeName } from "@powerinfer/core"

/** What a file may be asked for: one type for every matrix, or the mix that llama.cpp names Q4_K_M. Vectors are F32 in all. */
export const plantedTypes = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M"] as const
export type PlantedType = (typeof plantedTypes)[number]

/**
 * The type of a matrix by its name (`blk.3.ffn_down.weight`) in a file of `blockCount` blocks.
 *
 * Q4_K_M stores in Q6_K the matrix that makes the logits (`tied`: the token embedding), and `attn_v` and `ffn_down` of the
 * blocks that suffer most; the rest is Q4_K. A router of experts is F32 in every file. Source: ggml-org/llama.cpp
 * src/llama-quant.cpp, `llama_tensor_get_type` and `use_more_bits`.
 */
export const matrixType = (file: PlantedType, name: string, blockCount: number, tied = false): QuantizableTypeName => {
  if (name.endsWith(".ffn_gate_inp.weight")) return "F32"
  if (file !== "Q4_K_M") return file
  if (name === (tied ? "token_embd.weight" : "output.weight")) return "Q6_K"
  const sensitive = /^blk\.(\d+)\.(?:attn_v|ffn_down(?:_exps)?)\.weight$/.exec(name)
  return sensitive && usesMoreBits(Number(sensitive[1]), blockCount) ? "Q6_K" : "Q4_K"
}

/** The first and the last eighth of the blocks, and every third between. */
const usesMoreBits = (block: number, blockCount: number): boolean => {
  const eighth = Math.floor(blockCount / 8)
  return block < eighth || block >= Math.floor((7 * blockCount) / 8) || (block - eighth) % 3 === 2
}
