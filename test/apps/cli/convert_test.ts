// Goal: convert and quantize do from the command line what the core does, say what they did, and leave nothing behind when they are stopped.
// Method: the real command on the shipped models and on tiny ones; Ctrl-C in the middle of a file.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { activationProfile, openModel, readGguf, writeGguf } from "@powerinfer/core"
import { tinyModel, writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { tinyCheckpoint, writeCheckpoint } from "../../support/checkpoint_files.ts"
import { type CliResult, model, runAll, runCli, startCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-convert-"))
const at = (name: string): string => join(folder, name)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const runs = {
  theirs: () => runCli(["convert", model, "--to", "powerinfer", "--out", at("theirs.gguf")]),
  quantized: () => runCli(["quantize", model, "--type", "Q8_0", "--out", at("q8_0.gguf"), "--json"]),
  checkpoint: () => runCli(["convert", at("saved"), "--to", "gguf", "--type", "F32", "--out", at("hf.gguf"), "--json"]),
  profile: () => runCli(["convert", at("small"), "--to", "profile", "--out", at("profile.json"), "--tokens", "90000"]),
  twice: () => runCli(["quantize", at("q8.gguf"), "--type", "Q4_0", "--out", at("never.gguf"), "--json"]),
  strayFlag: () => runCli(["convert", model, "--to", "gguf", "--tokens", "5", "--out", at("never.gguf")]),
  noTokenizer: () => runCli(["convert", at("bare"), "--to", "gguf", "--out", at("never.gguf")]),
  notHere: () => runCli(["convert", at("nothing"), "--to", "plan", "--out", at("never.gguf")])
}
let results: ReadonlyMap<keyof typeof runs, CliResult>
const result = (name: keyof typeof runs): CliResult => results.get(name)!

beforeAll(async () => {
  mkdirSync(at("small/activation"), { recursive: true })
  const relu = { family: "llama", seed: 1, activation: "relu" } as const
  await Effect.runPromise(writeTinyModel(at("small/model.gguf"), { ...relu, shape: { ffnWidth: 3 } }))
  await Effect.runPromise(writeTinyModel(at("q8.gguf"), { ...relu, type: "Q8_0" }))
  for (const block of [0, 1]) copyFileSync("test/golden/torch/int32.pt", at(`small/activation/activation_${block}.pt`))
  const checkpoint = tinyCheckpoint({ family: "opt", seed: 1, tied: true, shape: { kvHeadCount: 4 } })
  writeCheckpoint(at("saved"), checkpoint)
  writeCheckpoint(at("bare"), checkpoint)
  rmSync(at("bare/tokenizer.model"))
  results = await runAll(Object.entries(runs) as ReadonlyArray<[keyof typeof runs, () => Promise<CliResult>]>)
}, 60_000)

describe("powerinfer convert", () => {
  test("writes PowerInfer's layout, and says on standard error what it lacks", async () => {
    expect(result("theirs")).toMatchObject({ code: 0 })
    expect(result("theirs").stdout).toStartWith(at("theirs.gguf"))
    expect(result("theirs").stderr).toContain("The file has no predictors")
    const opened = await Effect.runPromise(openModel(at("theirs.gguf")))
    expect([opened.gguf.magic, opened.blocks[0]!.down.layout]).toEqual(["PWRI", "by_neuron"])
  })

  test("takes a checkpoint for a directory with a config.json", async () => {
    expect(JSON.parse(result("checkpoint").stdout)).toMatchObject({ path: at("hf.gguf"), notes: [] })
    expect((await Effect.runPromise(openModel(at("hf.gguf")))).shape.family).toBe("opt")
  })

  test("finds the model that lies beside statistics", async () => {
    expect(result("profile").stdout).toContain("2 blocks of tiny-llama-1, 90000 tokens (as given)")
    const model = await Effect.runPromise(openModel(at("small/model.gguf")))
    const profile = await Effect.runPromise(activationProfile.read(at("profile.json"), model))
    expect(profile.blocks[1]!.firingCounts).toEqual([3, 0, 70_000])
  })

  test("ends with the code of what is wrong, and writes nothing", () => {
    expect(result("strayFlag")).toMatchObject({ code: 2 })
    expect(result("strayFlag").stderr).toContain("--tokens has no meaning with --to gguf")
    expect(result("noTokenizer")).toMatchObject({ code: 4 })
    expect(result("noTokenizer").stderr).toContain("no tokenizer.model")
    expect(result("notHere")).toMatchObject({ code: 3 })
    expect(readdirSync(folder).filter((name) => name.startsWith("never"))).toEqual([])
  })
})

describe("powerinfer quantize", () => {
  test("says in JSON what it wrote", async () => {
    const { size_bytes: size, tensor_count_by_type: types } = JSON.parse(result("quantized").stdout)
    expect(types).toEqual({ Q8_0: 44, F32: 13 })
    expect(size).toBe(readFileSync(at("q8_0.gguf")).length)
    expect((await Effect.runPromise(readGguf(at("q8_0.gguf")))).metadata.u32("general.file_type")).toBe(7)
  })

  test("refuses to quantize twice, in JSON", () => {
    expect(result("twice").code).toBe(5)
    expect(result("twice").stdout + result("twice").stderr).toContain("--allow-requantize")
  })

  test("leaves nothing behind when Ctrl-C stops it", async () => {
    // Large enough that it takes seconds; the interruption comes as soon as it has begun to write.
    const shape = { hiddenWidth: 1024, headCount: 8, ffnWidth: 4096, vocabularySize: 20_000, blockCount: 4 }
    const { metadata, tensors } = tinyModel({ family: "llama", seed: 1, shape })
    const zeros = tensors.map((tensor) => ({
      ...tensor,
      chunks: () => [new Uint8Array(4 * tensor.shape.reduce((product, length) => product * length, 1))]
    }))
    await Effect.runPromise(writeGguf(at("large.gguf"), { metadata, tensors: zeros }))
    const child = startCli(["quantize", at("large.gguf"), "--type", "Q4_K", "--out", at("stopped.gguf")])
    const temporary = () => readdirSync(folder).some((name) => name.startsWith("stopped.gguf"))
    while (!temporary() && child.exitCode === null) await Bun.sleep(5)
    child.kill("SIGINT")
    expect(await child.exited).toBe(130)
    expect(existsSync(at("stopped.gguf"))).toBe(false)
    expect(temporary()).toBe(false)
  }, 60_000)
})
