// Goal: where nobody names a backend, a GPU that answers is used as far as its memory goes, what was chosen is said, and what cannot be used is not.
// Method: `powerinfer generate` in processes of its own, with the simulator in the place of the GPU's library, and memory of an artificial size.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { type CliResult, runCli } from "../../../apps/cli/run_cli.ts"
import { hasSimulator } from "../../../support/simulator.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cuda-auto-"))
afterAll(() => rmSync(folder, { recursive: true }))
const model = join(folder, "tiny.gguf")
beforeAll(async () => {
  const shape = { contextLength: 4096, blockCount: 2, ffnWidth: 512 }
  await Effect.runPromise(writeTinyModel(model, { family: "llama", seed: 8, activation: "relu", shape }))
})

const margin = 256 * 2 ** 20
const timeoutMs = 60_000
const library = process.env["POWERINFER_CUDA_SIMULATED_LIBRARY"] ?? ""

const generate = async (environment: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => {
  const flags = ["--max-tokens", "2", "--temperature", "0", "--json", "--batch", "4"]
  const surroundings = { XDG_CACHE_HOME: folder, POWERINFER_CUDA_LIBRARY: library, ...environment }
  return runCli(["generate", model, "a", ...flags, ...args], "", surroundings)
}

const backendsOf = ({ stdout }: CliResult): ReadonlyArray<string> =>
  JSON.parse(stdout).settings.backends.map(({ name }: { readonly name: string }) => name)

describe.skipIf(!hasSimulator)("powerinfer generate without --backend", () => {
  let alone: CliResult
  beforeAll(async () => {
    alone = await generate({}, "--backend", "cpu")
  }, timeoutMs)

  test(
    "puts the whole model on a GPU that has room, and says so",
    async () => {
      const run = await generate({})
      expect(backendsOf(run)).toEqual(["cuda", "cpu"])
      expect(run.stderr).toContain("auto: the whole model is on CUDA simulator (not a GPU) (")
      expect(JSON.parse(run.stdout).tokens).toEqual(JSON.parse(alone.stdout).tokens)
      expect(JSON.parse(run.stdout).settings).toMatchObject({ context_tokens: 4096, placement: { name: "auto" } })
    },
    timeoutMs
  )

  test(
    "divides the model where the GPU has less, and shortens sessions that nobody asked for",
    async () => {
      const run = await generate({ CUDA_SIM_MEMORY: String(margin + 900_000) }, "--backend", "auto")
      expect(run.stderr).toMatch(/sessions hold \d+ tokens of the 4096/)
      expect(run.stderr).toMatch(/auto: attention on CUDA simulator \(not a GPU\), .*% of the neurons on cpu/)
      const { tokens, settings } = JSON.parse(run.stdout)
      expect(tokens).toEqual(JSON.parse(alone.stdout).tokens)
      expect(settings.context_tokens).toBeLessThan(4096)
    },
    timeoutMs
  )

  test(
    "keeps to --vram-budget",
    async () => {
      const run = await generate({}, "--vram-budget", "900kB", "--ctx", "64")
      expect(run.stderr).toMatch(/auto: attention on CUDA simulator \(not a GPU\), .* of 0.9 MiB/)
      expect(run.code).toBe(0)
    },
    timeoutMs
  )

  test(
    "runs on the CPU where there is no GPU, with one line that says why",
    async () => {
      const run = await generate({ CUDA_SIM_DEVICES: "0" })
      expect(backendsOf(run)).toEqual(["cpu"])
      expect(run.stderr.match(/cuda is not used: .*no CUDA-capable device is detected/g)).toHaveLength(1)
    },
    timeoutMs
  )

  test(
    "says what to lower where --backend cuda has too little memory",
    async () => {
      const run = await generate({ CUDA_SIM_MEMORY: String(margin + 100_000) }, "--backend", "cuda")
      expect(run.code).toBe(6)
      expect(JSON.parse(run.stdout).error.message).toContain("raise --vram-budget, lower --ctx")
    },
    timeoutMs
  )
})
