// Goal: convert writes what PowerInfer's converters write, and gives back what it was made of.
// Method: tiny models beside a second description of those converters (test/support/powerinfer_layout.ts), tensor by tensor; what cannot be kept is refused.
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import {
  type ConversionError,
  dequantize,
  type Gguf,
  type GgufToWrite,
  openModel,
  planGguf,
  planPowerInfer,
  quantize,
  readGguf,
  readTensor,
  writeConversion,
  writeGguf,
  writePredictorWeights
} from "@powerinfer/core"
import { type TinyFamily, type TinyModel, tinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { inDirectory, randomFrom } from "../gguf/fixture.ts"
import { inPowerInferLayout } from "../support/powerinfer_layout.ts"

const run = Effect.runPromise
const relu = { seed: 5, activation: "relu" } as const
const bytesOf = (gguf: Gguf, name: string): Buffer => {
  const info = gguf.tensors.get(name)!
  return readFileSync(gguf.files[info.file]!.path).subarray(info.offset, info.offset + info.sizeBytes)
}
const written = async (path: string, gguf: GgufToWrite): Promise<Gguf> => {
  await run(writeGguf(path, gguf))
  return run(readGguf(path))
}
/** The planned file, written and read back. */
const converted = async (path: string, plan: ReturnType<typeof planGguf>): Promise<Gguf & { notes: string }> => {
  const conversion = await run(plan)
  await run(writeConversion(path, conversion))
  return { ...(await run(readGguf(path))), notes: conversion.notes.join("\n") }
}
const sameTensors = (actual: Gguf, expected: Gguf): void => {
  expect([...actual.tensors.keys()].toSorted()).toEqual([...expected.tensors.keys()].toSorted())
  for (const { name, type, shape } of expected.tensors.values()) {
    expect(actual.tensors.get(name)).toMatchObject({ type, shape })
    expect(bytesOf(actual, name).equals(bytesOf(expected, name))).toBe(true)
  }
}

describe("planPowerInfer", () => {
  for (const family of ["llama", "bamboo", "falcon", "opt"] as const) {
    test(`writes a ${family} file as PowerInfer's converter does, and planGguf gives back what it was made of`, () =>
      inDirectory(async (path) => {
        const usual = tinyModel({ family, ...relu })
        const theirs = inPowerInferLayout(usual, { ranks: [8, 24] })
        const predictors = theirs.tensors.filter(({ name }) => /\.fc[12]\./.test(name))
        const predictor = { metadata: [["powerinfer.sparse_threshold", "f32", 0.25] as const], tensors: predictors }
        await written(path("predictor.gguf"), predictor)
        const source = await written(path("usual.gguf"), usual)

        const plan = planPowerInfer(source, { predictor: path("predictor.gguf") })
        const made = await converted(path("made.gguf"), plan)
        expect(made.magic).toBe("PWRI")
        expect(made.metadata.f32("powerinfer.sparse_threshold")).toBe(0.25)
        sameTensors(made, await written(path("theirs.gguf"), theirs))

        const back = await converted(path("back.gguf"), planGguf(made, {}))
        expect(back.magic).toBe("GGUF")
        expect(back.notes).toContain("predictors are left out")
        expect([...back.metadata.entries()]).toEqual([...source.metadata.entries()])
        sameTensors(back, source)
      }))
  }

  for (const type of ["F16", "BF16"] as const) {
    test(`moves the elements of a ${type} down unchanged, odd shapes included`, () =>
      inDirectory(async (path) => {
        const shape = { ffnWidth: 77, hiddenWidth: 36, headCount: 2 }
        const source = await written(path("usual.gguf"), tinyModel({ family: "llama", ...relu, type, shape }))
        const made = await converted(path("made.gguf"), planPowerInfer(source, {}))
        const before = readTensor(source, source.tensors.get("blk.1.ffn_down.weight")!)
        const after = readTensor(made, made.tensors.get("blk.1.ffn_down_t.weight")!)
        for (let neuron = 0; neuron < 77; neuron++) {
          for (let i = 0; i < 36; i++) expect(after[neuron * 36 + i]).toBe(before[i * 77 + neuron]!)
        }
        sameTensors(await converted(path("back.gguf"), planGguf(made, {})), source)
      }))
  }

  test("encodes a quantized down anew only where it is told the type, and labels the file", () =>
    inDirectory(async (path) => {
      const source = await written(path("usual.gguf"), tinyModel({ family: "llama", ...relu, type: "Q8_0" }))
      const refused = (await run(Effect.flip(planPowerInfer(source, {})))) as ConversionError
      expect(refused._tag).toBe("ConversionImpossible")
      expect(refused.message).toContain("blk.0.ffn_down.weight is Q8_0")
      const made = await converted(path("made.gguf"), planPowerInfer(source, { downType: "Q4_0" }))
      expect(made.metadata.string("powerinfer.down_requantized")).toBe("Q8_0 → Q4_0")
      expect(made.notes).toContain("encoded anew: Q8_0 → Q4_0")
      expect(made.notes).toContain("computes with F32, F16, Q4_0 only; this file has Q8_0")
      expect(bytesOf(made, "blk.0.ffn_up.weight").equals(bytesOf(source, "blk.0.ffn_up.weight"))).toBe(true)

      const [ffn, hidden] = [96, 64]
      const values = readTensor(source, source.tensors.get("blk.0.ffn_down.weight")!)
      const turned = Float32Array.from(
        { length: ffn * hidden },
        (_, i) => values[(i % hidden) * ffn + Math.floor(i / hidden)]!
      )
      expect(bytesOf(made, "blk.0.ffn_down_t.weight").equals(quantize("Q4_0", turned))).toBe(true)
      const exact = await converted(path("exact.gguf"), planPowerInfer(source, { downType: "F32" }))
      const kept = new Float32Array(ffn * hidden)
      dequantize("F32", bytesOf(exact, "blk.0.ffn_down_t.weight"), kept)
      expect(kept).toEqual(turned)
    }))

  const refusals: ReadonlyArray<readonly [what: string, model: TinyModel, named: string]> = [
    ["a model whose activation is not relu", { family: "llama", seed: 5 }, "its FFN applies silu"],
    [
      "relu², which PowerInfer would compute as relu",
      { ...relu, family: "llama", activation: "relu_squared" },
      "relu_squared"
    ],
    ["a family that PowerInfer lacks", { ...relu, family: "qwen2" }, "no family qwen2"]
  ]
  for (const [what, model, named] of refusals) {
    test(`refuses ${what}`, () =>
      inDirectory(async (path) => {
        const error = await run(Effect.flip(planPowerInfer(await written(path("model.gguf"), tinyModel(model)), {})))
        expect(error._tag).toBe("ConversionImpossible")
        expect(error.message).toContain(named)
      }))
  }

  test("refuses a predictor of another model, and a file without one", () =>
    inDirectory(async (path) => {
      const source = await written(path("usual.gguf"), tinyModel({ family: "llama", ...relu }))
      const other = tinyModel({ family: "llama", ...relu, shape: { ffnWidth: 128 } })
      await written(path("other.gguf"), inPowerInferLayout(other, { ranks: [8, 8] }))
      const foreign = await run(Effect.flip(planPowerInfer(source, { predictor: path("other.gguf") })))
      expect(foreign).toMatchObject({ _tag: "InvalidModel", tensor: "blk.0.fc2.weight", expected: "[8, 96]" })
      const none = await run(Effect.flip(planPowerInfer(source, { predictor: path("usual.gguf") })))
      expect(none.message).toContain("holds no blk.N.fc1.weight")
    }))

  test("folds the norms of the model into weights of ours, so that every score keeps its sign", () =>
    inDirectory(async (path) => {
      const source = await written(path("usual.gguf"), tinyModel({ family: "llama", ...relu }))
      const model = await run(openModel(path("usual.gguf")))
      const theirs = inPowerInferLayout(tinyModel({ family: "llama", ...relu }), { ranks: [8, 24] })
      const tensors = theirs.tensors.filter(({ name }) => /\.fc[12]\./.test(name))
      const metadata = [["powerinfer.predictor.thresholds", "f32[]", Float32Array.of(0.5, 0)] as const]
      await run(writePredictorWeights({ predictor: "ours", path: path("ours.gguf"), model }, { metadata, tensors }))
      const made = await converted(path("made.gguf"), planPowerInfer(source, { predictor: path("ours.gguf") }))
      expect(made.notes).toContain("Not carried over: powerinfer.predictor.thresholds")
      expect(made.metadata.f32("powerinfer.sparse_threshold")).toBe(0)

      const ours = await run(readGguf(path("ours.gguf")))
      const random = randomFrom(4)
      for (const [block, rank] of [8, 24].entries()) {
        const scores = (gguf: Gguf, input: Float32Array): ReadonlyArray<number> => {
          const [down, up] = ["fc1", "fc2"].map((name) =>
            readTensor(gguf, gguf.tensors.get(`blk.${block}.${name}.weight`)!)
          )
          const inner = Array.from({ length: rank }, (_, i) =>
            Math.max(
              0,
              input.reduce((sum, value, j) => sum + value * down![i * 64 + j]!, 0)
            )
          )
          return Array.from({ length: 96 }, (_, i) =>
            inner.reduce((sum, value, j) => sum + value * up![i * rank + j]!, 0)
          )
        }
        const norm = readTensor(source, model.blocks[block]!.ffnNorm.weight)
        const residual = Float32Array.from({ length: 64 }, () => 3 * random() - 1)
        const rms = Math.sqrt(residual.reduce((sum, value) => sum + value * value, 0) / 64)
        const before = scores(made, residual)
        const after = scores(
          ours,
          residual.map((value, i) => (value / rms) * norm[i]!)
        )
        for (const [i, score] of after.entries()) expect(before[i]! / rms).toBeCloseTo(score, 4)
      }
    }))

  test("refuses weights of ours that were trained for another model, or for one with layer norms", () =>
    inDirectory(async (path) => {
      const opt = tinyModel({ family: "opt", ...relu })
      const source = await written(path("opt.gguf"), opt)
      const tensors = inPowerInferLayout(opt, { ranks: [8, 8] }).tensors.filter(({ name }) => /\.fc[12]\./.test(name))
      const model = await run(openModel(path("opt.gguf")))
      await run(writePredictorWeights({ predictor: "ours", path: path("ours.gguf"), model }, { tensors }))
      const layer = await run(Effect.flip(planPowerInfer(source, { predictor: path("ours.gguf") })))
      expect(layer.message).toContain("a layer norm (opt) cannot be folded into fc1")
      const other = await written(path("llama.gguf"), tinyModel({ family: "llama", ...relu }))
      const stale = await run(Effect.flip(planPowerInfer(other, { predictor: path("ours.gguf") })))
      expect(stale.message).toContain("made for another model")
    }))

  test("says which blocks are left without a predictor", () =>
    inDirectory(async (path) => {
      const usual = tinyModel({ family: "llama", ...relu })
      const half = await written(path("half.gguf"), inPowerInferLayout(usual, { ranks: [8] }))
      expect((await run(planPowerInfer(half, {}))).notes).toEqual(["Blocks without a predictor: 1"])
    }))
})

test("planGguf() gives smallthinker's down back the name and the dimensions of an expert's", () =>
  inDirectory(async (path) => {
    const family: TinyFamily = "smallthinker"
    const source = await written(path("by_neuron.gguf"), tinyModel({ family, seed: 5, downByNeuron: true }))
    const made = await converted(path("made.gguf"), planGguf(source, {}))
    expect(made.tensors.get("blk.0.ffn_down_exps.weight")!.shape).toEqual([96, 64, 1])
    sameTensors(await converted(path("again.gguf"), planGguf(made, {})), made)
  }))
