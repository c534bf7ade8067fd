// Goal: a Q4_K_M file is the mix that llama.cpp writes.
// Method: the blocks that its rule picks, written down by hand for the block counts of real models.
import { expect, test } from "bun:test"
import { matrixType } from "../../bench/planted_types.ts"

const blocksInQ6 = (matrix: string, blockCount: number): ReadonlyArray<number> =>
  Array.from({ length: blockCount }, (_, block) => block).filter(
    (block) => matrixType("Q4_K_M", `blk.${block}.${matrix}.weight`, blockCount) === "Q6_K"
  )

test("matrixType() gives attn_v and ffn_down of the same blocks as llama.cpp more bits", () => {
  expect(blocksInQ6("attn_v", 8)).toEqual([0, 3, 6, 7])
  expect(blocksInQ6("ffn_down", 22)).toEqual([0, 1, 4, 7, 10, 13, 16, 19, 20, 21])
  expect(blocksInQ6("ffn_down_exps", 32)).toEqual([0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31])
})

test("matrixType() stores the other matrices of Q4_K_M in Q4_K, the output in Q6_K", () => {
  for (const matrix of ["attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up"]) {
    expect(blocksInQ6(matrix, 8)).toEqual([])
  }
  expect(matrixType("Q4_K_M", "token_embd.weight", 8)).toBe("Q4_K")
  expect(matrixType("Q4_K_M", "output.weight", 8)).toBe("Q6_K")
})

test("matrixType() stores every matrix of another file alike", () => {
  expect(matrixType("Q8_0", "blk.0.ffn_down.weight", 8)).toBe("Q8_0")
  expect(matrixType("F16", "output.weight", 8)).toBe("F16")
})
