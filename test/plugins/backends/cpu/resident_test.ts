// Goal: where weights are kept changes no bit of a result, and no more of the file stays mapped than needs be.
// Method: the same tokens through a model that is mapped and one that is copied into memory, for every type with and without panels, dense, by
// neuron and with candidates, in batches of one row and of several.
import { afterAll, describe, expect, test } from "bun:test"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { CpuOptions } from "@powerinfer/backend-cpu"
import { type Model, NeuronSet, openModel } from "@powerinfer/core"
import { runTokens, writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { scratch } from "../../../native/tiny_library.ts"
import { openOnCpu, reluModel } from "./open_on_cpu.ts"

const directory = scratch("resident")
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const runs = [
  { name: "dense", sparse: false, candidates: "every", confirms: false },
  { name: "confirming", sparse: true, candidates: "every", confirms: true },
  { name: "with candidates", sparse: true, candidates: "some", confirms: true }
] as const

/** Every third neuron, for every row. */
const thirds = (model: Model, rowCount: number): NeuronSet => {
  const set = new NeuronSet(model.shape.ffnWidth, rowCount)
  set.reset(rowCount)
  for (let row = 0; row < rowCount; row++) {
    for (let neuron = 0; neuron < model.shape.ffnWidth; neuron += 3) set.add(row, neuron)
  }
  return set
}

describe("weights in memory", () => {
  for (const type of ["F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"] as const) {
    for (const { name, sparse, candidates, confirms } of runs) {
      test(`give the logits of mapped ones: ${type}, ${name} (seed 5)`, async () => {
        const path = join(directory, `${type}.gguf`)
        const logitsOf = Effect.fnUntraced(function* (weights: CpuOptions["weights"], rowCount: number) {
          const model = yield* openModel(path)
          const device = yield* openOnCpu(path, { threads: 2, weights }, { sparse, candidates })
          const tokens = Array.from({ length: 18 }, (_, position) => (37 * position + 5) % model.shape.vocabularySize)
          const select = candidates === "some" ? () => thirds(model, rowCount) : undefined
          return yield* runTokens(device, model, tokens, { rowCount, confirms, ...(select && { select }) })
        })
        await Effect.runPromise(writeTinyModel(path, { family: "llama", seed: 5, activation: "relu", type }))
        for (const rowCount of [1, 6]) {
          const [mapped, resident] = await Effect.runPromise(
            Effect.scoped(Effect.all([logitsOf("mapped", rowCount), logitsOf("resident", rowCount)]))
          )
          expect(resident).toEqual(mapped!)
        }
      })
    }
  }

  test("leave no more of the file mapped than embeddings and what lies between", async () => {
    const mappedBytes = (weights: CpuOptions["weights"]) =>
      Effect.scoped(Effect.map(openOnCpu(reluModel, { threads: 1, weights }), () => residentBytesOf(reluModel)))
    const file = readFileSync(reluModel).length
    expect(await Effect.runPromise(mappedBytes("resident"))).toBeLessThan(file * 0.8)
  })
})

/** Bytes of a file's mapping that are in this process's memory. Source: proc_pid_smaps(5). */
const residentBytesOf = (path: string): number => {
  const [, after = ""] = readFileSync("/proc/self/smaps", "utf8").split(path, 2)
  const [, kilobytes = "0"] = /^Rss:\s+(\d+) kB/m.exec(after) ?? []
  return Number(kilobytes) * 1024
}
