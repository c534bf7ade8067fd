// Goal: a job that is killed goes on when it is started again, ends with the bytes of an undisturbed run, and leaves nothing beside them.
// Method: a process that kills itself, at the moments that cost most: after a step, and before what it has done is kept.
import { afterAll, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { PointRecord } from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { has } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-killed-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string) => join(folder, name)

await Effect.runPromise(
  writeTinyModel(path("model.gguf"), { family: "llama", seed: 1, activation: "relu", shape: { ffnWidth: 75 } })
)
writeFileSync(path("a.txt"), "a cat sat on a mat\nand so it did\n".repeat(6))
writeFileSync(path("b.jsonl"), ["one day", "another day it was", ""].map((text) => JSON.stringify({ text })).join("\n"))

/** How the process ended, and what it announced. */
const start = (job: "profile" | "train" | "compare", killAfter = 0, windowTokens = 16) => {
  const program = join(import.meta.dir, "killed_process.ts")
  const ended = Bun.spawnSync([process.execPath, program, job, folder, `${killAfter}`, `${windowTokens}`])
  const lines = ended.stdout.toString().split("\n").slice(0, -1)
  return { end: ended.signalCode ?? `${ended.exitCode}${ended.stderr.toString()}`, lines }
}

/** Everything in the folder; folders of unfinished work with what is in them. */
const listing = () => readdirSync(folder, { recursive: true }).map(String).sort()

const take = (...names: ReadonlyArray<string>) =>
  names.map((name) => {
    const bytes = readFileSync(path(name))
    rmSync(path(name))
    return bytes.toHex()
  })

test("profileModel() that is killed twice goes on, and its files are those of an undisturbed run; other inputs begin anew", () => {
  expect(start("profile")).toEqual({ end: "0", lines: [] })
  const whole = listing()
  const wanted = take("p.json", "t.arrow")

  expect(start("profile", 3)).toEqual({ end: "SIGKILL", lines: [] })
  expect(start("profile", 4)).toEqual({ end: "SIGKILL", lines: ["going on from window 3"] })
  expect(existsSync(path("p.json"))).toBe(false)
  expect(start("profile")).toEqual({ end: "0", lines: ["going on from window 6"] })
  expect(listing()).toEqual(whole)
  expect(take("p.json", "t.arrow")).toEqual(wanted)

  expect(start("profile", 3).end).toBe("SIGKILL")
  expect(start("profile", 0, 12)).toEqual({
    end: "0",
    lines: [`${path("p.json.partial")} was left by a run of other inputs: starting over`]
  })
  expect(listing()).toEqual(whole)
  take("p.json", "t.arrow")
}, 60_000)

test.skipIf(!has("predictor", "mlp"))(
  "trainPredictor() that is killed twice goes on after the last block it has trained, and its file is that of an undisturbed run",
  () => {
    expect(start("profile").end).toBe("0")
    const { end, lines } = start("train")
    expect(end).toBe("0")
    const whole = listing()
    const wanted = take("learned.gguf")
    // Widths are announced before they are kept, a block after it is.
    const widths = lines.findIndex((line) => line.startsWith("widths of the blocks: ")) + 1
    const block = lines.findIndex((line) => line.startsWith("block 0 of 2: ")) + 1
    expect(widths).toBeGreaterThan(0)
    expect(lines[block]).toMatch(/^block 1, rank \d+, pass 1 of 3: /)

    const goingOn = `going on with what ${path("learned.gguf.partial")} has`
    expect(start("train", widths)).toEqual({ end: "SIGKILL", lines: lines.slice(0, widths) })
    // One pass over the second block is over.
    expect(start("train", block + 2)).toEqual({ end: "SIGKILL", lines: [goingOn, ...lines.slice(0, block + 1)] })
    expect(existsSync(path("learned.gguf"))).toBe(false)
    expect(start("train")).toEqual({ end: "0", lines: [goingOn, ...lines.slice(block - 1)] })
    expect(listing()).toEqual(whole)
    expect(take("learned.gguf")).toEqual(wanted)
    take("p.json", "t.arrow")
  },
  60_000
)

/** Rows of the results: as they are, and without what a clock has measured. */
const readRows = () => {
  const database = new DatabaseSync(path("results.sqlite"), { readOnly: true })
  const rows = database.prepare("SELECT * FROM points ORDER BY key").all()
  database.close()
  const untimed = rows.map(({ tokens_per_s: _rate, date: _date, seconds: _seconds, record, ...columns }) => {
    const { figures, provenance, ...rest } = JSON.parse(record as string) as PointRecord
    const { decode, ...fidelity } = figures
    const { date: _at, seconds: _took, ...where } = provenance
    const speedless = [decode!.dense, decode!.asked].map(({ tokensPerSecond: _speed, ...read }) => read)
    return JSON.stringify({ ...columns, ...rest, fidelity, where, speedless })
  })
  return { rows, untimed }
}

test("compare() that is killed twice runs what is missing, and its results are those of an undisturbed run but for times", () => {
  const { end, lines } = start("compare")
  expect([end, lines.length]).toEqual(["0", 6])
  const keys = lines.map((line) => line.replace("ran ", ""))
  const whole = listing()
  const wanted = readRows().untimed
  take("results.sqlite")

  // Two points are kept; then one is run, and is lost.
  expect(start("compare", 3)).toEqual({ end: "SIGKILL", lines: lines.slice(0, 2) })
  const kept = readRows().rows
  const known = keys.slice(0, 2).map((key) => `kept ${key}`)
  expect(start("compare", 1)).toEqual({ end: "SIGKILL", lines: known })
  expect(readRows().rows).toEqual(kept)
  expect(start("compare")).toEqual({ end: "0", lines: [...known, ...lines.slice(2)] })
  expect(listing()).toEqual(whole)
  const { rows, untimed } = readRows()
  expect(untimed).toEqual(wanted)
  // What was measured before it was killed is still that, times and all.
  expect(rows).toEqual(expect.arrayContaining(kept))
}, 60_000)
