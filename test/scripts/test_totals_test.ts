// Goal: the closing line tells the truth, above all when a run went wrong in a way that its report does not show.
// Method: reports as `bun test --reporter=junit` writes them, and runs that wrote none.
import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { addTotals, formatTotals, parseTotals, totalsOfRun } from "../../scripts/test_totals.ts"

const report = (tests: number, failures: number, skipped: number) =>
  `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="${tests}" assertions="9" failures="${failures}" skipped="${skipped}" time="0.1">
  <testsuite name="a" tests="77" failures="55" skipped="66"></testsuite>
</testsuites>`

describe("totalsOfRun()", () => {
  test("reads the numbers of the whole run", () => {
    expect(totalsOfRun(report(10, 2, 3), "", 1)).toEqual({ passed: 5, failed: 2, skipped: 3 })
    expect(totalsOfRun(report(10, 0, 0), "", 0)).toEqual({ passed: 10, failed: 0, skipped: 0 })
  })

  test("counts a crash that left no report as a failure", () => {
    expect(totalsOfRun(undefined, "", 137)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })

  test("counts a file that did not load as a failure", () => {
    expect(totalsOfRun(report(4, 0, 0), "", 1)).toEqual({ passed: 4, failed: 1, skipped: 0 })
  })

  test("takes the larger count of failures, because the report leaves out files that did not load", () => {
    const summary = "\n 4 pass\n \u001b[31m3 fail\u001b[0m\n 2 errors\n"
    expect(totalsOfRun(report(5, 1, 0), summary, 1)).toEqual({ passed: 4, failed: 3, skipped: 0 })
  })

  test("counts a run without any test, or with skipped ones only, as a failure", () => {
    expect(totalsOfRun(report(0, 0, 0), "", 0).failed).toBe(1)
    expect(totalsOfRun(report(3, 0, 3), "", 0)).toEqual({ passed: 0, failed: 1, skipped: 3 })
  })
})

describe("the closing line", () => {
  const totals = { passed: 12, failed: 3, skipped: 1 }

  test("is read back as it was written, the last one of several", () => {
    expect(formatTotals(totals)).toBe("12 passed, 3 failed, 1 skipped")
    expect(parseTotals(`1 passed, 0 failed, 0 skipped\nnoise\n${formatTotals(totals)}\n`)).toEqual(totals)
  })

  test("is not found in other lines", () => {
    expect(parseTotals("so far 12 passed, 3 failed, 1 skipped")).toBeUndefined()
  })

  test("adds up", () => {
    expect(addTotals([totals, totals])).toEqual({ passed: 24, failed: 6, skipped: 2 })
  })
})

const runOn = (source: string) => {
  const folder = mkdtempSync(join(tmpdir(), "powerinfer-totals-"))
  writeFileSync(join(folder, "planted_test.ts"), `import { expect, test } from "bun:test"\n${source}`)
  const script = join(import.meta.dir, "..", "..", "scripts", "test.ts")
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, script, join(folder, "planted_test.ts")])
  rmSync(folder, { recursive: true })
  return { exitCode, lastLine: stdout.toString().trimEnd().split("\n").at(-1) }
}

describe("scripts/test.ts", () => {
  const sources: ReadonlyArray<readonly [what: string, source: string, exitCode: number, lastLine: string]> = [
    ["passing tests", `test("a", () => {}); test.skip("b", () => {})`, 0, "1 passed, 0 failed, 1 skipped"],
    ["a failing test", `test("a", () => {}); test("b", () => expect(1).toBe(2))`, 1, "1 passed, 1 failed, 0 skipped"],
    ["a file that does not load", `throw new Error("planted")`, 1, "0 passed, 1 failed, 0 skipped"],
    [
      "a failing test and a late error",
      `test("a", () => expect(1).toBe(2)); test("b", () => { setTimeout(() => { throw new Error("late") }); return Bun.sleep(9) })`,
      1,
      "0 passed, 2 failed, 0 skipped"
    ],
    ["a crash", `test("a", () => process.kill(process.pid, "SIGKILL"))`, 1, "0 passed, 1 failed, 0 skipped"]
  ]
  for (const [what, source, exitCode, lastLine] of sources) {
    test(`ends ${what} with its line and status ${exitCode}`, () => {
      expect(runOn(source)).toEqual({ exitCode, lastLine })
    })
  }
})
