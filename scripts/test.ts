// What does `npm test` run? Every test under bun:test, then the closing line `N passed, N failed, N skipped`.
// Arguments go to `bun test`: npm test -- test/gguf
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { formatTotals, totalsOfRun } from "./test_totals.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-test-"))
const reportFile = join(folder, "junit.xml")
const child = Bun.spawn(
  [process.execPath, "test", "--reporter=junit", `--reporter-outfile=${reportFile}`, ...process.argv.slice(2)],
  {
    cwd: join(import.meta.dir, ".."),
    // bun test talks on stderr, and colours it only for a terminal.
    env: process.stderr.isTTY ? { ...process.env, FORCE_COLOR: "1" } : process.env,
    stdio: ["inherit", "inherit", "pipe"]
  }
)
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal))

let printed = ""
const decoder = new TextDecoder()
for await (const chunk of child.stderr) {
  process.stderr.write(chunk)
  printed += decoder.decode(chunk, { stream: true })
}
const exitStatus = await child.exited
const report = existsSync(reportFile) ? readFileSync(reportFile, "utf8") : undefined
rmSync(folder, { recursive: true })

const totals = totalsOfRun(report, printed, exitStatus)
if (report === undefined) console.error("The run left no report: no test matched, or it ended before its time")
console.log(formatTotals(totals))
process.exitCode = totals.failed > 0 ? 1 : 0
