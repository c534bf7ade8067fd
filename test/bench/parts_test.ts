// Goal: what the benchmarks read from the system and from the command line is what it says.
// Method: texts as Linux and people write them; a report written to a temporary folder.
import { describe, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Option } from "effect"
import { evenShare } from "../../bench/busy.ts"
import { parseCounts, parsePredictors } from "../../bench/flags.ts"
import { residentMemory } from "../../bench/open.ts"
import { secondsOfMachine, secondsOfProcess } from "../../bench/other_load.ts"

test("secondsOfMachine() counts work, not waiting and not what the hypervisor took", () => {
  const stat = "cpu  1000 200 300 469553 2607 40 5 3590 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
  expect(secondsOfMachine(stat)).toBe(15.45)
})

test("secondsOfProcess() finds user and system time behind a name with brackets and spaces", () => {
  const stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194304 100 0 0 0 250 75 9 9 20 0 3 0 1000 1 2 3"
  expect(secondsOfProcess(stat)).toBe(3.25)
})

test("residentMemory() reads anonymous and resident bytes", () => {
  const status = "Name:\tbun\nVmHWM:\t  9999 kB\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nRssFile:\t    1536 kB\n"
  expect(residentMemory(status)).toEqual({ anonymousBytes: 512 * 1024, residentBytes: 2048 * 1024 })
})

test("evenShare() is what one more thread leaves of the cores, and all of it where a core is left over", () => {
  expect(evenShare(1, 2)).toBe(1)
  expect(evenShare(2, 2)).toBeCloseTo(2 / 3, 12)
  expect(evenShare(4, 4)).toBe(0.8)
  expect(evenShare(2, 8)).toBe(1)
})

describe("the flags", () => {
  test("take lists of numbers above 0", () => {
    expect(Option.getOrThrow(parseCounts("1,2,512"))).toEqual([1, 2, 512])
    for (const text of ["", "0", "1,", "1;2", "a", "-1", "1.5"]) expect(Option.isNone(parseCounts(text))).toBeTrue()
  })

  test("take lists of predictors, whose options may hold commas", () => {
    expect(parsePredictors("")).toEqual([])
    expect(parsePredictors("exact_gate,./a.ts,top:k=1,b=2,last")).toEqual([
      "exact_gate",
      "./a.ts",
      "top:k=1,b=2",
      "last"
    ])
  })
})

test("bun bench/compare.ts prints a table and writes it with the figures, or says what is wrong", () => {
  const folder = mkdtempSync(join(tmpdir(), "powerinfer-bench-"))
  const run = (...args: ReadonlyArray<string>) =>
    Bun.spawnSync([process.execPath, "bench/compare.ts", "models/relu-llama-7m/relu-llama-7m-q8_0.gguf", ...args])
  try {
    const out = join(folder, "report")
    const sizes = ["--threads", "1", "--prompt-tokens", "4", "--tokens", "2", "--repetitions", "1", "--retries", "0"]
    const good = run(...sizes, "--out", out)
    expect(good.stderr.toString()).not.toContain("Cannot")
    expect(good.exitCode).toBe(0)
    expect(readdirSync(folder).toSorted()).toEqual(["report.json", "report.md"])
    expect(readFileSync(`${out}.md`, "utf8")).toBe(good.stdout.toString())
    const { runs, settings } = JSON.parse(readFileSync(`${out}.json`, "utf8"))
    expect(runs.map((one: { engine: string }) => one.engine)).toEqual(["every_neuron", "exact_gate"])
    expect(settings).toMatchObject({ prompt_tokens: "4", tokens: 2, repetitions: 1 })

    const bad = run("--threads", "0")
    expect(bad.exitCode).toBe(2)
    expect(bad.stderr.toString()).toContain("no list of numbers above 0")
  } finally {
    rmSync(folder, { recursive: true })
  }
})
