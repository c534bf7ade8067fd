// Goal: `powerinfer evaluate` prints and keeps what the core measures, and says what is wrong with what it is given.
// Method: the real command on a tiny model and a short text.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { has } from "../../support/plans.ts"
import { type CliResult, runAll, runCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cli-evaluate-"))
const tiny = join(folder, "tiny.gguf")
const text = join(folder, "text.txt")
const out = join(folder, "evaluation.json")
const device = ["--backend", "reference", "--kv-type", "f32"]

const runs = {
  json: () =>
    runCli(["evaluate", tiny, text, ...device, "--ctx=24", "--windows=3", "--prompts=1", "--json", "--out", out]),
  words: () => runCli(["evaluate", tiny, text, text, ...device, "--ctx=24", "--prompts=0", "--decode-windows=0"]),
  short: () => runCli(["evaluate", tiny, text, ...device, "--ctx", "2000"]),
  missing: () => runCli(["evaluate", tiny, join(folder, "none.txt"), ...device])
}

let results: ReadonlyMap<keyof typeof runs, CliResult>
const result = (name: keyof typeof runs): CliResult => results.get(name)!

const onDevice = describe.skipIf(!(has("backend", "reference") && has("predictor", "every_neuron")))

onDevice("powerinfer evaluate", () => {
  beforeAll(async () => {
    await Effect.runPromise(writeTinyModel(tiny, { family: "llama", seed: 1, activation: "relu" }))
    writeFileSync(text, "And the man said to the woman that he is in the house of the other. ".repeat(6))
    results = await runAll(Object.entries(runs) as Array<[keyof typeof runs, () => Promise<CliResult>]>)
  }, 60_000)
  afterAll(() => rmSync(folder, { recursive: true }))

  test("prints figures with their intervals as JSON, and keeps them in a file", () => {
    const { code, stdout, stderr } = result("json")
    expect([code, stderr]).toEqual([0, stderr])
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({
      protocol: "llama.cpp",
      window_length: 24,
      windows: 3,
      scored_tokens: 33,
      fidelity: "exact",
      free_running: { prompts: 1, same_all: 1 },
      dense_decode: { active_share: 1 }
    })
    expect(report.kl_divergence.mean.high).toBeLessThan(1e-9)
    const kept = JSON.parse(readFileSync(out, "utf8"))
    expect(kept.format).toBe("powerinfer.evaluation")
    expect(kept.figures.perplexity.dense).toEqual(report.dense_perplexity)
  })

  test("prints a table for people", () => {
    const { code, stdout } = result("words")
    expect(code).toBe(0)
    expect(stdout).toMatch(/^tiny-llama-1: \d+ windows of 24 tokens of text\.txt, text\.txt/)
    expect(stdout).toMatch(/\nKL divergence +0/)
    expect(stdout).toMatch(/\nrecall +100\.0%/)
    expect(stdout).not.toContain("decode")
  })

  test("says when the text is too short, or not there", () => {
    expect(result("short").stderr).toContain("a window has 2000; give more text or lower --ctx")
    expect(result("short").code).toBe(2)
    expect(result("missing").stderr).toContain("none.txt: there is no such file")
    expect(result("missing").code).toBe(3)
  })
})
