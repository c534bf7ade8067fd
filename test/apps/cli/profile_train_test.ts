// Goal: profile and train work as commands, from a text to a predictor that generates, and say what they cannot do.
// Method: the command itself, on the default model and a few sentences.
import { afterAll, describe, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { ActivationProfile } from "powerinfer"
import { activationText } from "../../../apps/cli/activation_report.ts"
import { activationCurve } from "../../../apps/cli/pictures/activation_curve.ts"
import { model, root, runCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cli-profile-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string) => join(folder, name)
const sentence = "And it came to pass in those days, that the king said unto the people. "
writeFileSync(path("a.txt"), sentence.repeat(12))

/** Four neurons that fire 8, 1, 1 and 0 times, in two blocks. */
const profile: ActivationProfile = {
  model: { name: "m", fingerprint: "0".repeat(64) },
  tokenCount: 10,
  corpora: ["a", "b"].map((name) => ({ name, sha256: "", tokenCount: 5 })),
  blocks: [0, 1].map(() => ({
    firingCounts: [1, 8, 0, 1],
    meanMagnitudes: [2, 1, 0, 10],
    overlap: [
      [1, 0.25],
      [0.25, 1]
    ],
    consecutiveOverlap: 0.5
  }))
}

describe("powerinfer profile", () => {
  test("writes a profile and a picture, and prints what is in it", async () => {
    const files = ["--out", path("p.json"), "--svg", path("p.svg")]
    const { code, stdout } = await runCli(["profile", model, path("a.txt"), "--ctx", "64", ...files, "--json"])
    expect(code).toBe(0)
    const told = JSON.parse(stdout)
    expect(told.active_share).toBeWithin(0.05, 0.2)
    expect([told.blocks.length, told.window_tokens, told.corpora[0].name]).toEqual([6, 64, "a.txt"])
    expect(JSON.parse(readFileSync(path("p.json"), "utf8")).tokenCount).toBe(told.tokens)
    expect(readFileSync(path("p.svg"), "utf8")).toStartWith("<svg ")
    expect(existsSync(path("p.json.partial"))).toBe(false)
  }, 60_000)

  test("says which text is missing", async () => {
    const { code, stderr } = await runCli(["profile", model, path("none.txt")])
    expect([code, stderr]).toEqual([3, `powerinfer: Cannot read the text ${path("none.txt")}: there is no such file\n`])
  })

  test("reports of each block and of all how few neurons do the firing", () => {
    const lines = activationText(profile).split("\n")
    expect(lines[3]).toMatch(/^0 +25\.0% +25\.0% +80\.0% +1 +2\.00 +0\.500$/)
    expect(lines[5]).toMatch(/^all +25\.0% +25\.0% +80\.0% +2$/)
    expect(lines[6]).toBe("hot neurons of a and b, how alike by block: 0.25 0.25")
  })

  test("draws a curve a block and one of all", () => {
    const svg = activationCurve(profile)
    expect(svg.match(/block [01]/g)!.length).toBeGreaterThanOrEqual(2)
    expect(svg).toContain("of the neurons make 80%")
  })
})

describe("powerinfer train", () => {
  const plugin = join(root, "examples/plugins/frequent_neurons/mod.ts")

  test("learns from a text what a generation then uses", async () => {
    const out = path("learned.json")
    const args = [
      plugin,
      model,
      path("a.txt"),
      "--ctx",
      "64",
      "--windows",
      "2",
      "--predictor.share",
      "0.5",
      "--out",
      out
    ]
    const { code, stdout } = await runCli(["train", ...args, "--json"])
    expect(code).toBe(0)
    const told = JSON.parse(stdout)
    expect(told.options).toEqual({ share: 0.5, file: out })
    expect([existsSync(`${out}.training`), existsSync(`${out}.partial`)]).toEqual([false, false])
    const used = await runCli(["generate", model, "And", "--max-tokens", "3", "--predictor", told.predictor, "--json"])
    expect(JSON.parse(used.stdout).figures.active_share).toBeLessThan(0.5)
  }, 60_000)

  test("refuses a predictor that learns nothing, and wants one source", async () => {
    const every = join(root, "test/support/plugins/every.ts")
    const nothing = await runCli(["train", every, model, path("a.txt"), "--out", path("x")])
    expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining("the predictor every learns nothing")])
    const both = await runCli(["train", plugin, model, path("a.txt"), "--trace", "t", "--out", path("x")])
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining("give either TEXT or --trace FILE")])
  }, 60_000)
})
