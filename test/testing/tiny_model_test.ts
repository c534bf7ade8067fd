// Goal: tiny models are what they say: any family and type, the same bytes for the same description, readable text.
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { openTokenizer, readTensor } from "@powerinfer/core"
import { openTinyModel, tinyModel, tinyVocabularySize } from "@powerinfer/core/testing"
import { Effect } from "effect"

const bytesOf = (seed: number) =>
  Effect.runPromise(
    Effect.scoped(Effect.map(openTinyModel({ family: "llama", seed }), ({ gguf }) => readFileSync(gguf.files[0]!.path)))
  )

test("openTinyModel() writes the same bytes for the same description, others for another seed", async () => {
  const [first, again, other] = [await bytesOf(1), await bytesOf(1), await bytesOf(2)]
  expect(first.equals(again)).toBe(true)
  expect(first.equals(other)).toBe(false)
})

test("openTinyModel() removes the file with its scope", async () => {
  const model = await Effect.runPromise(Effect.scoped(openTinyModel({ family: "opt", seed: 1 })))
  expect(() => readTensor(model.gguf, model.tokenEmbedding)).toThrow("no such file")
})

test("tinyModel() stores matrices in the type asked for and vectors in F32", () => {
  for (const type of ["F16", "Q4_0", "Q6_K"] as const) {
    for (const tensor of tinyModel({ family: "falcon", seed: 1, type }).tensors) {
      expect([tensor.name, tensor.type]).toEqual([tensor.name, tensor.shape.length === 1 ? "F32" : type])
    }
  }
})

test("tinyModel() gives matrices a variance of 1 / width, norms a mean of 1", async () => {
  const program = Effect.gen(function* () {
    const { gguf, blocks } = yield* openTinyModel({ family: "llama", seed: 5, shape: { hiddenWidth: 128 } })
    const up = readTensor(gguf, blocks[0]!.up.weight)
    const variance = up.reduce((sum, value) => sum + value * value, 0) / up.length
    expect(variance * 128).toBeCloseTo(1, 1)
    const norm = readTensor(gguf, blocks[0]!.ffnNorm.weight)
    expect(norm.reduce((sum, value) => sum + value, 0) / norm.length).toBeCloseTo(1, 1)
  })
  await program.pipe(Effect.scoped, Effect.runPromise)
})

test("a tiny model's vocabulary takes any text and gives it back", async () => {
  const program = Effect.gen(function* () {
    const { gguf, shape } = yield* openTinyModel({ family: "llama", seed: 1 })
    const tokenizer = yield* openTokenizer(gguf.metadata)
    expect(shape.vocabularySize).toBe(tinyVocabularySize)
    for (const text of ["the king and you", "Grüße, 世界 🙂!"]) {
      const ids = tokenizer.encode(text)
      expect(ids.every((id) => id < shape.vocabularySize)).toBe(true)
      expect(tokenizer.decode(ids)).toBe(text)
    }
  })
  await program.pipe(Effect.scoped, Effect.runPromise)
})
