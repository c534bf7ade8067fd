// Goal: convert writes what PowerInfer's converters write, and gives back what it was made of.
// Method: tiny models beside a second description of those converters (test/support/powerinfer_layout.ts), tensor by tensor; what cannot be kept is refused.
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import {
  type ConversionError,
  dequantize,
  type Gguf,
  type GgufToWrite,
  planGguf,
  planPowerInfer,
  quantize,
  readGguf,
  readTensor,
  writeConversion,
  writeGguf
} from "@powerinfer/core"
import { type TinyFamily, type TinyModel, tinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { inDirectory } from "../gguf/fixture.ts"
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
