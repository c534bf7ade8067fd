// Goal: files as PowerInfer's converters write them run, and compute what the same weights compute in the usual layout.
// Method: tiny models of each published form, rewritten by a second description of those converters; logits by the reference backend.
import { expect, test } from "bun:test"
import { bindPlugin, type MetadataRow, openModel, writeGguf } from "@powerinfer/core"
import { largestError, type TinyModel, tinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { inDirectory } from "../gguf/fixture.ts"
import { oracle } from "../support/plans.ts"
import { inPowerInferLayout } from "../support/powerinfer_layout.ts"
import { logitsOf } from "../support/run_tiny.ts"

const backend = Effect.runSync(bindPlugin(oracle, {}))
const tokens = [1, 77, 300, 9, 14, 262, 31, 80]

/** The two layouts differ by the order in which the FFN's products are added up. */
const tolerance = 1e-5

interface Published {
  readonly model: TinyModel
  readonly leavesOut?: ReadonlyArray<string>
  readonly contextLength?: number
}

const context = (rows: number): ReadonlyArray<MetadataRow> => [["opt.context_length", "u32", rows]]

const published: Readonly<Record<string, Published>> = {
  "ReLULLaMA and ProSparse (llama)": { model: { family: "llama", seed: 3, activation: "relu" } },
  Bamboo: { model: { family: "bamboo", seed: 3 } },
  "ReluFalcon 7B (one norm)": {
    model: { family: "falcon", seed: 3, activation: "relu", shape: { kvHeadCount: 1 } }
  },
  "ReluFalcon 40B (two norms)": {
    model: { family: "falcon", seed: 3, activation: "relu", shape: { kvHeadCount: 2 } }
  },
  "OPT whose context counts the offset of its positions": {
    model: { family: "opt", seed: 3, metadata: context(130) },
    leavesOut: ["output.weight", "opt.attention.layer_norm_epsilon", "opt.attention.head_count_kv"],
    contextLength: 128
  },
  "OPT whose context does not": {
    model: { family: "opt", seed: 3, metadata: context(128) },
    leavesOut: ["output.weight", "opt.attention.layer_norm_epsilon", "opt.attention.head_count_kv"],
    contextLength: 128
  },
  "OPT-6.7B's context of 2048 with 2050 positions": {
    model: { family: "opt", seed: 3, shape: { contextLength: 2048 } },
    leavesOut: ["output.weight"],
    contextLength: 2048
  }
}

for (const [name, { model, leavesOut = [], contextLength }] of Object.entries(published)) {
  test(`${name}: PowerInfer's file computes what the usual one does`, async () => {
    // OPT's attention has as many keys and values as queries.
    const shape = model.family === "opt" ? { kvHeadCount: 4, ...model.shape } : model.shape
    const usual = tinyModel({ ...model, ...(shape && { shape }), tied: leavesOut.includes("output.weight") })
    const theirs = inPowerInferLayout(usual, { ranks: [8, 24], leavesOut })
    const error = largestError(await logitsOf(backend, theirs, tokens), await logitsOf(backend, usual, tokens))
    expect(error).toBeLessThanOrEqual(tolerance)

    const opened = await inDirectory(async (path) => {
      await Effect.runPromise(writeGguf(path("model.gguf"), theirs))
      return Effect.runPromise(openModel(path("model.gguf")))
    })
    expect(opened.sparse).toBe(true)
    expect(opened.predictors?.map((found) => found?.rank)).toEqual([8, 24])
    expect(opened.sparseThreshold).toBe(0.25)
    expect(opened.blocks[1]!.down.layout).toBe("by_neuron")
    if (contextLength !== undefined) expect(opened.shape.contextLength).toBe(contextLength)
    if (model.family === "opt") {
      expect(opened.output.weight.name).toBe("token_embd.weight")
      expect(opened.blocks[1]!.down.bias?.name).toBe("blk.1.ffn_down_t.bias")
    }
  })
}
