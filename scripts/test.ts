// What does `npm test` run? Every test under bun:test, then the closing line `N passed, N failed, N skipped`.
// Arguments go to `bun test`: npm test -- test/gguf
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { addTotals, formatTotals, type TestTotals, totalsOfRun } from "./test_totals.ts"

const root = join(import.meta.dir, "..")

/**
 * Tests that look at the heap, in a process of their own: they ask the engine for every object on it, which takes the longer the more there are, and
 * the vocabularies of other tests are some millions.
 */
const heapTests = ["test/plugin_host", "test/plugins", "test/testing"]

const runs = (): ReadonlyArray<ReadonlyArray<string>> => {
  const asked = process.argv.slice(2)
  if (asked.length > 0) return [asked]
  const all = readdirSync(join(root, "test")).map((name) => `test/${name}`)
  return [all.filter((path) => !heapTests.includes(path)), heapTests]
}

const run = async (args: ReadonlyArray<string>): Promise<TestTotals> => {
  const folder = mkdtempSync(join(tmpdir(), "powerinfer-test-"))
  const reportFile = join(folder, "junit.xml")
  const child = Bun.spawn([process.execPath, "test", "--reporter=junit", `--reporter-outfile=${reportFile}`, ...args], {
    cwd: root,
    // bun test talks on stderr, and colours it only for a terminal.
    env: process.stderr.isTTY ? { ...process.env, FORCE_COLOR: "1" } : process.env,
    stdio: ["inherit", "inherit", "pipe"]
  })
  const pass = (signal: NodeJS.Signals) => {
    stopped = true
    child.kill(signal)
  }
  for (const signal of signals) process.on(signal, pass)

  let printed = ""
  const decoder = new TextDecoder()
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk)
    printed += decoder.decode(chunk, { stream: true })
  }
  const exitStatus = await child.exited
  for (const signal of signals) process.off(signal, pass)
  const report = existsSync(reportFile) ? readFileSync(reportFile, "utf8") : undefined
  rmSync(folder, { recursive: true })
  if (report === undefined) console.error("The run left no report: no test matched, or it ended before its time")
  return totalsOfRun(report, printed, exitStatus)
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
/** Somebody does not want the rest. */
let stopped = false
const totals: Array<TestTotals> = []
for (const args of runs()) if (!stopped) totals.push(await run(args))
const total = addTotals(totals)
console.log(formatTotals(total))
if (total.failed > 0) process.exitCode = 1
