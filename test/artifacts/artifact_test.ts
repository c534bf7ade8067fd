// Goal: an artifact comes back as it was written, and one that is damaged, of another kind or of another model is refused by name.
// Method: round trips through a temporary directory, with tiny models of different seeds.
import { describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import {
  activationProfile,
  densityOf,
  identityOf,
  type Model,
  openPredictorWeights,
  writePredictorWeights
} from "@powerinfer/core"
import { openTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { inDirectory } from "../gguf/fixture.ts"

const withModels = (use: (one: Model, other: Model) => Promise<void>) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const one = yield* openTinyModel({ family: "llama", seed: 1 })
        const other = yield* openTinyModel({ family: "llama", seed: 2 })
        yield* Effect.promise(() => use(one, other))
      })
    )
  )

const messageOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>): Promise<string> =>
  Effect.runPromise(Effect.map(Effect.flip(effect), ({ message }) => message))

const profileOf = Effect.fnUntraced(function* (model: Model) {
  return {
    model: yield* identityOf(model),
    tokenCount: 4,
    corpora: [{ name: "a.txt", sha256: "00", tokenCount: 4 }],
    blocks: [{ firingCounts: [4, 0, 2], meanMagnitudes: [0.5, 0, 1.25], overlap: [[1]], consecutiveOverlap: 0.25 }]
  }
})

describe("activationProfile", () => {
  test("comes back as it was written", () =>
    withModels((model) =>
      inDirectory(async (path) => {
        const profile = await Effect.runPromise(profileOf(model))
        await Effect.runPromise(activationProfile.write(path("p.json"), profile))
        expect(await Effect.runPromise(activationProfile.read(path("p.json"), model))).toEqual(profile)
        expect(densityOf(profile, 0)).toBe(0.5)
      })
    ))

  test("is refused for another model, with both models' names and hashes and what to do", () =>
    withModels((model, other) =>
      inDirectory(async (path) => {
        await Effect.runPromise(Effect.flatMap(profileOf(model), (it) => activationProfile.write(path("p.json"), it)))
        expect(await messageOf(activationProfile.read(path("p.json"), other))).toMatch(
          /it was made for tiny-llama-1 \([0-9a-f]{12}…\), this is tiny-llama-2 \([0-9a-f]{12}…\); make it again with powerinfer profile$/
        )
      })
    ))

  for (const [what, change, reason] of [
    ["cut off", (text: string) => text.slice(0, -20), "it is no JSON"],
    ["something else", () => "{}", "it is no activation profile"],
    [
      "of a later version",
      (text: string) => text.replace('"version":1', '"version":7'),
      "it has version 7, this program reads 1"
    ],
    ["damaged", (text: string) => text.replace('"tokenCount":4', '"tokenCount":-4'), "it is damaged"]
  ] as const) {
    test(`is refused where it is ${what}`, () =>
      withModels((model) =>
        inDirectory(async (path) => {
          const file = path("p.json")
          await Effect.runPromise(Effect.flatMap(profileOf(model), (it) => activationProfile.write(file, it)))
          writeFileSync(file, change(readFileSync(file, "utf8")))
          expect(await messageOf(activationProfile.read(file, model))).toContain(reason)
        })
      ))
  }

  test("says which file is missing", () =>
    inDirectory(async (path) => {
      expect(await messageOf(activationProfile.read(path("none.json")))).toContain("none.json")
    }))
})

describe("predictor weights", () => {
  const tensors = [
    {
      name: "blk.0.fc1.weight",
      type: "F32",
      shape: [2, 2],
      chunks: () => [new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)]
    }
  ] as const

  test("come back as they were written, as values and as stored", () =>
    withModels((model) =>
      inDirectory(async (path) => {
        const of = { predictor: "mlp", path: path("w.gguf"), model }
        await Effect.runPromise(writePredictorWeights(of, { tensors }))
        const weights = await Effect.runPromise(openPredictorWeights(of))
        const values = await Effect.runPromise(weights.values("blk.0.fc1.weight", [2, 2]))
        expect([...values]).toEqual([1, 2, 3, 4])
        const { info, bytes } = await Effect.runPromise(weights.stored("blk.0.fc1.weight", [2, 2]))
        expect(info.type).toBe("F32")
        expect([...new Float32Array(bytes.buffer)]).toEqual([1, 2, 3, 4])
        expect(await messageOf(weights.values("blk.0.fc2.weight", [2, 2]))).toContain("has no blk.0.fc2.weight")
        expect(await messageOf(weights.values("blk.0.fc1.weight", [4]))).toContain("is [2, 2], it must be [4]")
      })
    ))

  test("are refused for another model and for another predictor", () =>
    withModels((model, other) =>
      inDirectory(async (path) => {
        const of = { predictor: "mlp", path: path("w.gguf"), model }
        await Effect.runPromise(writePredictorWeights(of, { tensors }))
        expect(await messageOf(openPredictorWeights({ ...of, model: other }))).toMatch(
          /w\.gguf was made for, tiny-llama-1 \(.*powerinfer train mlp/
        )
        expect(await messageOf(openPredictorWeights({ ...of, predictor: "svd_gate" }))).toContain(
          "is of the predictor mlp"
        )
        expect(await messageOf(openPredictorWeights({ ...of, path: path("none.gguf") }))).toContain("none.gguf")
        expect(await messageOf(openPredictorWeights({ ...of, path: model.gguf.files[0]!.path }))).toContain(
          "is no predictor's weights"
        )
      })
    ))
})
