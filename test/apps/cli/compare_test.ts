// Goal: `powerinfer compare` writes reports that hold every point and need nothing else, and names every mistake in an experiment file before it runs.
// Method: the real command on a tiny model; files with one mistake each, read in this process.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { expandOptions, readExperimentFile } from "../../../apps/cli/experiment_file.ts"
import { resolveExperiment } from "../../../apps/cli/experiment_plan.ts"
import { has, reference, withPlan } from "../../support/plans.ts"
import { writeTrace } from "../../support/write_trace.ts"
import { runCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cli-compare-"))
const inFolder = (name: string) => join(folder, name)

beforeAll(async () => {
  await Effect.runPromise(writeTinyModel(inFolder("tiny.gguf"), { family: "llama", seed: 1, activation: "relu" }))
  writeFileSync(inFolder("text.txt"), "And the man said to the woman that he is in the house of the other. ".repeat(4))
})
afterAll(() => rmSync(folder, { recursive: true }))

const head = `
models = ["tiny.gguf"]
texts = ["text.txt"]
ctx = 24
windows = 2
`

const predictor = `
[[predictor]]
use = "oracle_top_k"
options.share = [0.25, 0.75]
`

const canRun = has("backend", "reference") && has("predictor", "every_neuron") && has("predictor", "oracle_top_k")

describe.skipIf(!canRun)("powerinfer compare", () => {
  test("runs the grid once, and reports every point in files that need nothing else", async () => {
    const settings = `prompts = 1\ndecode_windows = 1\noracle_shares = [0.5]\nkv_type = "f32"\n`
    const backend = `[[backend]]\nuse = "reference"\n`
    writeFileSync(inFolder("grid.toml"), `${head}${settings}${predictor}${backend}`)
    const first = await runCli(["compare", "grid.toml", "--out", "results"], "", {}, folder)
    expect([first.code, first.stderr]).toEqual([0, first.stderr])
    expect(first.stderr).toMatch(/\[\d\/\d\] tiny\.gguf, oracle_top_k share=0\.75: KL /)

    const again = await runCli(["compare", "grid.toml", "--out", "results", "--json"], "", {}, folder)
    expect(again.stderr).not.toMatch(/\(\d+\.\d s\)/)
    const report = JSON.parse(again.stdout)
    const ways: ReadonlyArray<{ readonly label: string; readonly bound: boolean; readonly on_bytes_front: boolean }> =
      report.models[0].ways
    const labels = ways.map(({ label }) => label)
    const shares = [0.25, 0.5, 0.75].map((share) => `oracle_top_k share=${share}`)
    expect(labels).toEqual(expect.arrayContaining(["every_neuron", ...shares]))
    // The exact way that reads least beats every other: there is nothing but oracles beside it.
    expect(ways.filter((way) => way.on_bytes_front)).toHaveLength(1)

    const page = readFileSync(inFolder("results/report.html"), "utf8")
    const markdown = readFileSync(inFolder("results/report.md"), "utf8")
    for (const label of labels) {
      expect(page).toContain(`</span>${label}</td>`)
      expect(markdown).toContain(`| ${label} `)
    }
    expect(page.match(/<svg /g)).toHaveLength(3)
    expect(page).not.toMatch(/<script|<link|<img|@import|url\(|src=/)
    expect(page).toContain("<title>exact_gate: exact")
    for (const [, picture] of markdown.matchAll(/!\[.*\]\((.*)\)/g)) {
      expect(readFileSync(inFolder(`results/${picture}`), "utf8")).toStartWith("<svg ")
    }
  }, 60_000)
})

describe.skipIf(!canRun)("powerinfer compare --replay", () => {
  test("judges predictors from a trace, beside the results there are", async () => {
    const settings = `prompts = 0\ndecode_windows = 1\noracle_shares = []\nkv_type = "f32"\n`
    const grid = `${head}${settings}${predictor}[[backend]]\nuse = "reference"\n`
    writeFileSync(inFolder("replay.toml"), grid)
    const traced = withPlan(inFolder("tiny.gguf"), { backends: [reference], rowCountMax: 1 }, (plan) => {
      const tokens = Array.from({ length: 23 }, (_, position) => 3 + position * 5)
      return Effect.runPromise(writeTrace(inFolder("trace.arrow"), plan, [{ tokens }]))
    })
    await traced
    const replay = (...more: ReadonlyArray<string>) =>
      runCli(["compare", "replay.toml", "--out", "replayed", "--replay", "trace.arrow", ...more], "", {}, folder)
    const before = await replay()
    expect([before.code, before.stderr]).toEqual([0, before.stderr])
    expect(before.stdout).toContain("Rates: bytes over the bandwidth of this machine")

    expect((await runCli(["compare", "replay.toml", "--out", "replayed"], "", {}, folder)).code).toBe(0)
    const report = JSON.parse((await replay("--json")).stdout)
    expect(report.calibrated).toBe(true)
    const dense = report.ways.find((way: { readonly predictor: { readonly name: string } }) => {
      return way.predictor.name === "every_neuron"
    })
    expect(dense).toMatchObject({ rows: 12, recall: { value: 1 }, measured: { recall: 1 } })
    expect(dense.bytes_read_per_token / dense.measured.bytes_read_per_token).toBeCloseTo(1, 2)
    expect(dense.predicted_tokens_per_s).toBeGreaterThan(0)
    expect(readFileSync(inFolder("replayed/replay.md"), "utf8")).toContain("| every_neuron")
  }, 60_000)
})

const mistakes: ReadonlyArray<readonly [what: string, text: string, message: string]> = [
  ["a key that is none", `${head}windos = 3\n${predictor}`, "e.toml: windos: there is no such key; write models,"],
  [
    "a key of a section that is none",
    `${head}[[predictor]]\nuse = "x"\nshare = 1`,
    "e.toml: predictor[0].share: there is no such key; write use or options"
  ],
  ["no models", `texts = ["text.txt"]\n${predictor}`, `e.toml: models: it is missing; write models = ["FILE"]`],
  ["no texts", `models = ["tiny.gguf"]\n${predictor}`, `e.toml: texts: it is missing; write texts = ["FILE"]`],
  ["no predictor", head, `e.toml: predictor: it is missing; write [[predictor]] and below it use = "NAME"`],
  ["a section that is no list", `${head}[predictor]\nuse = "x"`, "write [[predictor]] and below it"],
  [
    "one model that is no list",
    `models = "tiny.gguf"\n${predictor}`,
    "e.toml: models: there may be several; write models = [ … ]"
  ],
  ["a value out of range", `${head}prompts = -1\n${predictor}`, "e.toml: prompts: "],
  ["text that is no TOML", `models = [\n[[predictor]]`, "e.toml:2:"],
  ["a model that is missing", head.replace("tiny", "none") + predictor, "none.gguf: there is no such file"],
  ["a text that is missing", head.replace("text.txt", "none.txt") + predictor, "none.txt: there is no such file"],
  [
    "a predictor that is none",
    `${head}[[predictor]]\nuse = "crystal_ball"`,
    "e.toml: predictor[0]: Cannot load the predictor crystal_ball"
  ]
]

/** About predictors that need not be there. */
const oracleMistakes: typeof mistakes = [
  [
    "an option that is none",
    `${head}[[predictor]]\nuse = "oracle_top_k"\noptions.shares = 1`,
    "e.toml: predictor[0]: Cannot load the predictor oracle_top_k: its options are wrong"
  ],
  [
    "one wrong value of several",
    `${head}[[predictor]]\nuse = "oracle_top_k"\noptions.share = [0.5, 7]`,
    "e.toml: predictor[0]: "
  ],
  [
    "a file in an option that is missing",
    `${head}[[predictor]]\nuse = "oracle_top_k"\noptions.weights = "none.gguf"`,
    `e.toml: predictor[0].options.weights: there is no file ${folder}`
  ]
]

describe("an experiment file with", () => {
  const refused = async (text: string) => {
    writeFileSync(inFolder("e.toml"), text)
    const reading = Effect.flatMap(readExperimentFile(inFolder("e.toml")), resolveExperiment)
    return Effect.runPromise(Effect.flip(reading))
  }
  for (const [what, text, message] of mistakes) {
    test(`${what} is refused before anything runs`, async () => {
      expect((await refused(text)).message).toContain(message)
    })
  }
  for (const [what, text, message] of oracleMistakes) {
    test.skipIf(!has("predictor", "oracle_top_k"))(`${what} is refused before anything runs`, async () => {
      expect((await refused(text)).message).toContain(message)
      expect(existsSync(inFolder("e.results"))).toBe(false)
    })
  }
})

test("expandOptions() makes every choice of one value from each list", () => {
  expect(expandOptions({ a: [1, 2], b: "x", c: [true, [3]] })).toEqual([
    { a: 1, b: "x", c: true },
    { a: 1, b: "x", c: [3] },
    { a: 2, b: "x", c: true },
    { a: 2, b: "x", c: [3] }
  ])
  expect(expandOptions({})).toEqual([{}])
})
