// Goal: the example goes from a model and some text to a report, and a second run has nothing left to do but the reports.
// Method: the script itself, on a corpus cut down to a few windows.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { has } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-experiment-"))
const train = join(folder, "train.txt")
const held = join(folder, "test.txt")

beforeAll(() => {
  writeFileSync(train, readFileSync("models/text/train.txt", "utf8").slice(0, 24_000))
  writeFileSync(held, readFileSync("models/text/test.txt", "utf8").slice(0, 6_000))
})
afterAll(() => rmSync(folder, { recursive: true }))

const complete = has("backend", "cpu") && has("predictor", "mlp") && has("placement", "plan_file")

test.skipIf(!complete)(
  "examples/experiment/run.sh ends with a report that has every way",
  () => {
    const run = () =>
      Bun.spawnSync(["sh", "examples/experiment/run.sh", join(folder, "out"), train, held], { stdin: "ignore" })
    const first = run()
    expect([first.exitCode, first.stderr.toString()]).toEqual([0, expect.anything()])
    const report = readFileSync(join(folder, "out/results/report.md"), "utf8")
    for (const way of ["every_neuron", "exact_gate", "oracle_top_k", "mlp"]) expect(report).toContain(`| ${way}`)
    expect(readFileSync(join(folder, "out/results/report.html"), "utf8")).toContain("<svg ")
    expect(readFileSync(join(folder, "out/results/replay.md"), "utf8")).toContain("mlp")
  },
  300_000
)
