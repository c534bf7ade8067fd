// Goal: a really trained model in three types opens, and its types agree about the weights.
// Method: facts of models/relu-llama-7m, and each block's quantization error against its own scale.
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { readGguf } from "../../core/gguf/open.ts"
import { readTensor } from "../../core/gguf/read_tensor.ts"

const open = (type: string) =>
  Effect.runPromise(readGguf(`${import.meta.dir}/../../models/relu-llama-7m/relu-llama-7m-${type}.gguf`))

describe("readGguf on relu-llama-7m", () => {
  const facts = [
    { type: "f16", matrices: { F16: 44 } },
    { type: "q8_0", matrices: { Q8_0: 44 } },
    // Embeddings and output stay Q8_0 in the Q4_0 file.
    { type: "q4_0", matrices: { Q8_0: 2, Q4_0: 42 } }
  ]
  for (const { type, matrices } of facts) {
    test(`finds the shape, the vocabulary and the types of ${type}`, async () => {
      const { metadata, tensors, version, magic, alignment } = await open(type)
      expect({ version, magic, alignment }).toEqual({ version: 3, magic: "GGUF", alignment: 32 })
      expect(metadata.string("general.architecture")).toBe("llama")
      expect(metadata.string("llama.hidden_activation")).toBe("relu")
      expect(metadata.u32("llama.embedding_length")).toBe(256)
      expect(metadata.u32("llama.feed_forward_length")).toBe(1024)
      expect(metadata.f32("llama.attention.layer_norm_rms_epsilon")).toBeCloseTo(1e-5, 10)
      const tokens = metadata.strings("tokenizer.ggml.tokens")
      expect(tokens).toHaveLength(4096)
      expect(tokens.slice(0, 4)).toEqual(["<unk>", "<s>", "</s>", "<0x00>"])
      expect(metadata.numbers("tokenizer.ggml.scores")).toHaveLength(4096)

      expect(tensors.size).toBe(57)
      const counts: Record<string, number> = {}
      for (const { shape, type } of tensors.values()) if (shape.length === 2) counts[type] = (counts[type] ?? 0) + 1
      expect(counts).toEqual(matrices)
      expect(tensors.get("blk.5.ffn_down.weight")!.shape).toEqual([1024, 256])
      expect(tensors.get("blk.0.attn_norm.weight")).toMatchObject({ type: "F32", shape: [256] })
    })
  }
})

describe("readTensor on relu-llama-7m", () => {
  // Relative to the largest of a block: half a step, and what F16 rounds of the scale and of the weight (2⁻¹¹ each). Q4_0 clips
  // at 7 of 8 steps, so the far end may be off by a whole one. A scale below 2⁻¹⁴ is rounded to a multiple of 2⁻²⁴.
  const errorMax = { F32: 0, Q8_0: 0.5 / 127 + 2 ** -10, Q4_0: 1 / 8 + 2 ** -10 }
  const scaleErrorMax = { F32: 0, Q8_0: 127 * 2 ** -25, Q4_0: 8 * 2 ** -25 }
  for (const type of ["q8_0", "q4_0"]) {
    test(`${type} differs from F16 by no more than its step in every block of 32 weights`, async () => {
      const exact = await open("f16")
      const quantized = await open(type)
      for (const name of [
        "token_embd.weight",
        "blk.0.attn_q.weight",
        "blk.3.ffn_gate.weight",
        "blk.5.ffn_down.weight",
        "output_norm.weight"
      ]) {
        const info = quantized.tensors.get(name)!
        const wanted = readTensor(exact, exact.tensors.get(name)!)
        const found = readTensor(quantized, info)
        expect(found).toHaveLength(wanted.length)
        const type = info.type as keyof typeof errorMax
        let [worst, different] = [0, 0]
        for (let block = 0; block < wanted.length; block += 32) {
          let largest = 0
          let error = 0
          for (let i = block; i < block + 32; i++) {
            largest = Math.max(largest, Math.abs(wanted[i]!))
            error = Math.max(error, Math.abs(wanted[i]! - found[i]!))
          }
          worst = Math.max(worst, error - (largest * errorMax[type] + scaleErrorMax[type]))
          different = Math.max(different, error)
        }
        expect({ name, worst }).toEqual({ name, worst: 0 })
        expect(different > 0).toBe(type !== "F32")
      }
    })
  }
})
