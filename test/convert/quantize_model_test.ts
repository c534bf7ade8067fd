// Goal: quantize makes the files that ggml's reference makes, and says where it could not.
// Method: the shipped Q8_0 and Q4_0 models, made by an independent implementation from the float32 weights that their F16 file rounds;
// tiny models for every rule, byte for byte (quantize_test.ts compares the encodings themselves with gguf-py's).
import { describe, expect, test } from "bun:test"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import {
  type Gguf,
  openModel,
  planQuantization,
  quantize,
  type QuantizeOptions,
  readGguf,
  readTensor,
  writeConversion
} from "@powerinfer/core"
import { type TinyModel, writeTinyModel } from "@powerinfer/core/testing"
import { Effect, Fiber } from "effect"
import { inDirectory } from "../gguf/fixture.ts"

const run = Effect.runPromise
const bytesOf = (gguf: Gguf, name: string): Buffer => {
  const info = gguf.tensors.get(name)!
  return readFileSync(gguf.files[info.file]!.path).subarray(info.offset, info.offset + info.sizeBytes)
}
const typesOf = (gguf: Gguf) => Object.fromEntries([...gguf.tensors.values()].map(({ name, type }) => [name, type]))

const shipped = [
  ["relu-llama-7m", "Q8_0"],
  ["relu-llama-7m", "Q4_0"],
  ["relu-opt-3m", "Q8_0"]
] as const

for (const [name, type] of shipped) {
  test(`planQuantization() makes of ${name} in F16 the shipped ${type} file, but for the rounding to F16 in between`, () =>
    inDirectory(async (path) => {
      const folder = `models/${name}/${name}`
      const source = await run(readGguf(`${folder}-f16.gguf`))
      await run(writeConversion(path("made.gguf"), await run(planQuantization(source, { type }))))
      const made = await run(readGguf(path("made.gguf")))
      const expected = await run(readGguf(`${folder}-${type.toLowerCase()}.gguf`))
      expect(typesOf(made)).toEqual(typesOf(expected))
      expect([...made.tensors.keys()]).toEqual([...expected.tensors.keys()])
      const added = ["general.quantization_version", { type: "u32", value: 2 }]
      expect([...made.metadata.entries()]).toEqual([...expected.metadata.entries(), added] as never)

      let elements = 0
      let unequal = 0
      for (const info of expected.tensors.values()) {
        // One block stands for all; comparing every weight would take seconds.
        if (/^blk\.[1-9]/.test(info.name)) continue
        if (info.type === "F32" || info.type === "F16") {
          expect(bytesOf(made, info.name).equals(bytesOf(expected, info.name))).toBe(true)
          continue
        }
        const ours = readTensor(made, made.tensors.get(info.name)!)
        const theirs = readTensor(expected, info)
        const weights = readTensor(source, source.tensors.get(info.name)!)
        elements += ours.length
        for (let base = 0; base < ours.length; base += 32) {
          let largest = 0
          for (let i = base; i < base + 32; i++) largest = Math.max(largest, Math.abs(weights[i]!))
          const step = largest / (info.type === "Q8_0" ? 127 : 8)
          for (let i = base; i < base + 32; i++) {
            const error = Math.abs(ours[i]! - theirs[i]!)
            // A scale may round to its neighbour, 2⁻¹⁰ away; a code next to a half may fall to the other side.
            const rounding = Math.abs(theirs[i]!) / 1024 + 2 ** -24
            if (error > rounding) unequal++
            if (error > 1.01 * step + rounding) throw new Error(`${info.name}[${i}] is ${ours[i]}, not ${theirs[i]}`)
          }
        }
      }
      expect(unequal / elements).toBeLessThan(0.02)
    }))
}

const madeOf = async (path: (name: string) => string, model: TinyModel, options: QuantizeOptions) => {
  await run(writeTinyModel(path("source.gguf"), model))
  const source = await run(readGguf(path("source.gguf")))
  const conversion = await run(planQuantization(source, options))
  await run(writeConversion(path("made.gguf"), conversion))
  return { source, made: await run(readGguf(path("made.gguf"))), notes: conversion.notes }
}

describe("planQuantization", () => {
  test("keeps vectors, norms, learned positions and the router as they are", () =>
    inDirectory(async (path) => {
      const { made } = await madeOf(path, { family: "opt", seed: 1 }, { type: "Q4_0" })
      expect(typesOf(made)).toMatchObject({
        "position_embd.weight": "F32",
        "blk.0.ffn_up.bias": "F32",
        "blk.0.ffn_norm.weight": "F32",
        "blk.0.ffn_up.weight": "Q4_0",
        "blk.0.attn_q.weight": "Q4_0",
        "token_embd.weight": "Q8_0",
        "output.weight": "Q8_0"
      })
      const { made: expert } = await madeOf(path, { family: "smallthinker", seed: 1 }, { type: "Q4_0" })
      expect(typesOf(expert)).toMatchObject({
        "blk.0.ffn_gate_inp.weight": "F32",
        "blk.0.ffn_gate_exps.weight": "Q4_0"
      })
    }))

  test("stores embedding and output in the types it is given; a tied embedding is an output", () =>
    inDirectory(async (path) => {
      const options = { type: "Q4_0", embeddingType: "Q4_0", outputType: "F16" } as const
      const { made } = await madeOf(path, { family: "llama", seed: 1 }, options)
      expect(typesOf(made)).toMatchObject({ "token_embd.weight": "Q4_0", "output.weight": "F16" })
      const { made: tied } = await madeOf(path, { family: "llama", seed: 1, tied: true }, options)
      expect(typesOf(tied)["token_embd.weight"]).toBe("F16")
    }))

  test("falls back to a type whose blocks fit, and says so", () =>
    inDirectory(async (path) => {
      const shape = { hiddenWidth: 256, ffnWidth: 96, headCount: 2, headWidth: 20 }
      const { made, notes } = await madeOf(path, { family: "llama", seed: 1, shape }, { type: "Q4_K" })
      expect(typesOf(made)).toMatchObject({
        "blk.0.ffn_up.weight": "Q4_K",
        "blk.0.ffn_down.weight": "Q8_0",
        "blk.0.attn_output.weight": "F16"
      })
      expect(notes).toContain("blk.0.ffn_down.weight becomes Q8_0: its rows of 96 are not whole blocks of Q4_K")
      expect(notes).toContain("blk.0.attn_output.weight becomes F16: its rows of 40 are not whole blocks of Q4_K")
      await run(openModel(path("made.gguf")))
    }))

  for (const [type, fileType] of [
    ["F16", 1],
    ["Q4_0", 2],
    ["Q8_0", 7],
    ["Q4_K", 14]
  ] as const) {
    test(`writes what quantize() writes, and that the file is mostly ${type}`, () =>
      inDirectory(async (path) => {
        const shape = { hiddenWidth: 256, ffnWidth: 512, vocabularySize: 4200 }
        const { source, made } = await madeOf(path, { family: "llama", seed: 1, shape }, { type })
        for (const name of ["blk.1.ffn_gate.weight", "token_embd.weight"]) {
          const values = readTensor(source, source.tensors.get(name)!)
          expect(bytesOf(made, name).equals(quantize(made.tensors.get(name)!.type as typeof type, values))).toBe(true)
        }
        expect(made.metadata.u32("general.file_type")).toBe(fileType)
        expect(made.metadata.u32("general.quantization_version", 0)).toBe(type === "F16" ? 0 : 2)
      }))
  }

  test("refuses to quantize twice unless it is asked to", () =>
    inDirectory(async (path) => {
      await run(writeTinyModel(path("q8.gguf"), { family: "llama", seed: 1, type: "Q8_0" }))
      const source = await run(readGguf(path("q8.gguf")))
      const error = await run(Effect.flip(planQuantization(source, { type: "Q4_0" })))
      expect(error.message).toContain("--allow-requantize")
      expect((await run(planQuantization(source, { type: "Q8_0" }))).notes).toEqual([])
      await run(
        writeConversion(path("q4.gguf"), await run(planQuantization(source, { type: "Q4_0", requantizes: true })))
      )
      expect(typesOf(await run(readGguf(path("q4.gguf"))))["blk.0.attn_q.weight"]).toBe("Q4_0")
    }))

  test("keeps PowerInfer's magic, by which the file says that its activation is relu", () =>
    inDirectory(async (path) => {
      const { made } = await madeOf(path, { family: "llama", seed: 1, magic: "PWRI" }, { type: "Q4_0" })
      expect(made.magic).toBe("PWRI")
    }))
})

describe("writeConversion", () => {
  test("fails by name at a value that the type cannot hold, and leaves nothing behind", () =>
    inDirectory(async (path) => {
      await run(writeTinyModel(path("source.gguf"), { family: "llama", seed: 1 }))
      const source = await run(readGguf(path("source.gguf")))
      const bytes = readFileSync(path("source.gguf"))
      bytes.writeFloatLE(1e6, source.tensors.get("blk.1.ffn_up.weight")!.offset + 4000)
      writeFileSync(path("source.gguf"), bytes)
      const error = await run(
        Effect.flip(writeConversion(path("made.gguf"), await run(planQuantization(source, { type: "F16" }))))
      )
      expect(error._tag).toBe("ConversionImpossible")
      expect(error.message).toContain("blk.1.ffn_up.weight holds 1000000, which F16 cannot")
      expect(readdirSync(path("."))).toEqual(["source.gguf"])
    }))

  test("fails with TruncatedFile where the input shrinks meanwhile", () =>
    inDirectory(async (path) => {
      await run(writeTinyModel(path("source.gguf"), { family: "llama", seed: 1 }))
      const plan = await run(planQuantization(await run(readGguf(path("source.gguf"))), { type: "F16" }))
      writeFileSync(path("source.gguf"), readFileSync(path("source.gguf")).subarray(0, 40_000))
      const error = await run(Effect.flip(writeConversion(path("made.gguf"), plan)))
      expect(error._tag).toBe("TruncatedFile")
      expect(readdirSync(path("."))).toEqual(["source.gguf"])
    }))

  test("tells how far it is, and an interruption between two pieces leaves nothing behind", () =>
    inDirectory(async (path) => {
      const heard: Array<readonly [number, number]> = []
      const megabyte = new Uint8Array(1 << 20)
      const endless = {
        name: "endless",
        type: "F32" as const,
        shape: [1 << 18, 1000],
        chunks: function* () {
          for (;;) yield megabyte
        }
      }
      const conversion = { gguf: { metadata: [], tensors: [endless] }, notes: [] }
      const fiber = Effect.runFork(
        writeConversion(path("made.gguf"), conversion, (written, total) => {
          heard.push([written, total])
          // A signal's handler runs between two turns of the event loop, like this.
          if (heard.length === 2) setTimeout(() => Effect.runFork(Fiber.interrupt(fiber)))
        })
      )
      await run(Fiber.await(fiber))
      expect(heard.slice(0, 2)).toEqual([
        [4 << 20, 1000 << 20],
        [8 << 20, 1000 << 20]
      ])
      expect(heard.length).toBeLessThan(100)
      expect(readdirSync(path("."))).toEqual([])
    }))
})

test("writeConversion() may replace the file that it reads", () =>
  inDirectory(async (path) => {
    await run(writeTinyModel(path("model.gguf"), { family: "llama", seed: 1 }))
    const plan = await run(planQuantization(await run(readGguf(path("model.gguf"))), { type: "Q8_0" }))
    await run(writeConversion(path("model.gguf"), plan))
    expect(typesOf(await run(readGguf(path("model.gguf"))))["blk.0.ffn_up.weight"]).toBe("Q8_0")
  }))
