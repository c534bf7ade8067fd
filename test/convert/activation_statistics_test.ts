// Goal: PowerInfer's counts become a profile of the right model, block by block in the order of their numbers.
// Method: folders of more than ten blocks put together from the golden files of torch, and folders with one thing wrong.
import { describe, expect, test } from "bun:test"
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import {
  activationProfile,
  densityOf,
  identityOf,
  openModel,
  readActivationStatistics,
  statisticsProfile
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { inDirectory } from "../gguf/fixture.ts"

const run = Effect.runPromise
const golden = `${import.meta.dir}/../golden/torch`
type Path = (name: string) => string

/** The files that the blocks of a folder are copies of. */
const folder = (path: Path, files: ReadonlyArray<string>): string => {
  mkdirSync(path("activation"))
  for (const [block, file] of files.entries())
    copyFileSync(`${golden}/${file}.pt`, path(`activation/activation_${block}.pt`))
  return path("activation")
}

test("readActivationStatistics() reads block 2 before block 10", () =>
  inDirectory(async (path) => {
    const files = Array.from({ length: 12 }, (_, block) => (block === 2 ? "int64" : block === 10 ? "float32" : "int32"))
    const { blocks } = await run(readActivationStatistics(folder(path, files)))
    expect(blocks.length).toBe(12)
    expect([...blocks[2]!]).toEqual([0, 5, 123456789012, 7, 300])
    expect([...blocks[10]!]).toEqual([0, 1.5, 16777216])
    expect([...blocks[11]!]).toEqual([3, 0, 70000])
  }))

describe("readActivationStatistics() refuses", () => {
  const errorOf = (edit: (path: Path) => void, files: ReadonlyArray<string> = ["int32", "int32"]) =>
    inDirectory(async (path) => {
      const directory = folder(path, files)
      edit(path)
      return (await run(Effect.flip(readActivationStatistics(directory)))).message
    })

  test("a folder that lacks a block, has none, or one twice", async () => {
    const copy = (name: string) => (path: Path) => copyFileSync(`${golden}/int32.pt`, path(`activation/${name}`))
    expect(await errorOf(copy("activation_3.pt"))).toContain("3 files of blocks, but no activation_2.pt")
    expect(await errorOf(() => {}, [])).toContain("no activation_0.pt")
    expect(await errorOf(copy("activation_01.pt"))).toContain("are of the same block")
  })

  test("a file that is damaged, by its name, and a folder that is not there", async () => {
    const damaged = await errorOf((path) => writeFileSync(path("activation/activation_1.pt"), "PK"))
    expect(damaged).toContain("activation_1.pt: it is no zip archive")
    expect((await run(Effect.flip(readActivationStatistics("nowhere"))))._tag).toBe("FileUnreadable")
  })
})

describe("statisticsProfile", () => {
  const withModel = <A>(ffnWidth: number, use: (path: Path, model: string) => Promise<A>): Promise<A> =>
    inDirectory(async (path) => {
      await run(
        writeTinyModel(path("model.gguf"), { family: "llama", seed: 1, activation: "relu", shape: { ffnWidth } })
      )
      return use(path, path("model.gguf"))
    })
  const profileOf = (path: Path, model: string, files: ReadonlyArray<string>, tokenCount?: number) =>
    Effect.gen(function* () {
      const statistics = yield* readActivationStatistics(folder(path, files))
      return yield* statisticsProfile(statistics, yield* openModel(model), tokenCount)
    })

  test("keeps the counts, and is read back as an artifact of its model", () =>
    withModel(3, async (path, modelPath) => {
      const profile = await run(profileOf(path, modelPath, ["int32", "int32"], 100_000))
      await run(activationProfile.write(path("profile.json"), profile))
      const model = await run(openModel(modelPath))
      const read = await run(activationProfile.read(path("profile.json"), model))
      expect(read).toEqual(profile)
      expect(read.model).toEqual(await run(identityOf(model)))
      expect(read.tokenCount).toBe(100_000)
      expect(read.corpora).toEqual([
        {
          name: "PowerInfer's activation",
          sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown as string,
          tokenCount: 100_000
        }
      ])
      expect(read.blocks[1]!.firingCounts).toEqual([3, 0, 70_000])
      expect(densityOf(read, 0)).toBeCloseTo(70_003 / 300_000, 10)
    }))

  test("takes the largest count for the number of tokens where nobody says it", () =>
    withModel(3, async (path, model) => {
      expect((await run(profileOf(path, model, ["int32", "int32"]))).tokenCount).toBe(70_000)
    }))

  const refused: ReadonlyArray<
    readonly [what: string, width: number, files: ReadonlyArray<string>, tokens: number | undefined, named: string]
  > = [
    ["statistics of another number of blocks", 3, ["int32"], undefined, "of 1 blocks, the model has 2"],
    ["statistics of another width", 5, ["int64", "int32"], undefined, "activation_1.pt has 3 neurons, the model 5"],
    ["fewer tokens than a neuron fired", 3, ["int32", "int32"], 10, "fired 70000 times"],
    [
      "numbers that are neither counts nor frequencies",
      3,
      ["float32", "float32"],
      undefined,
      "neither counts nor frequencies"
    ]
  ]
  for (const [what, width, files, tokens, named] of refused) {
    test(`refuses ${what}`, () =>
      withModel(width, async (path, model) => {
        expect((await run(Effect.flip(profileOf(path, model, files, tokens)))).message).toContain(named)
      }))
  }

  test("makes counts of frequencies, where the number of tokens is given", () =>
    withModel(2, async (path, model) => {
      const statistics = {
        directory: path("."),
        sha256: "0".repeat(64),
        blocks: [Float64Array.of(0.25, 1), Float64Array.of(0, 0.0101)]
      }
      const profile = (tokens?: number) =>
        Effect.flatMap(openModel(model), (opened) => statisticsProfile(statistics, opened, tokens))
      const { blocks } = await run(profile(1000))
      expect(blocks.map(({ firingCounts }) => firingCounts)).toEqual([
        [250, 1000],
        [0, 10]
      ])
      expect((await run(Effect.flip(profile()))).message).toContain("--tokens")
    }))
})
