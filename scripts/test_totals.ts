// How many tests passed, failed and were skipped, in the one line that people and machines read?

/** The outcome of a test run. */
export interface TestTotals {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The closing line of every test command. */
export const formatTotals = ({ passed, failed, skipped }: TestTotals): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

/** The last closing line in a program's output, or undefined when it never printed one. */
export const parseTotals = (output: string): TestTotals | undefined => {
  const line = [...output.matchAll(/^(\d+) passed, (\d+) failed, (\d+) skipped$/gm)].at(-1)
  return line && { passed: Number(line[1]), failed: Number(line[2]), skipped: Number(line[3]) }
}

/** Several runs as one. */
export const addTotals = (totals: ReadonlyArray<TestTotals>): TestTotals => ({
  passed: totals.reduce((sum, one) => sum + one.passed, 0),
  failed: totals.reduce((sum, one) => sum + one.failed, 0),
  skipped: totals.reduce((sum, one) => sum + one.skipped, 0)
})

/**
 * The outcome of `bun test --reporter=junit`, from its report (undefined when it wrote none), its own summary and its exit status.
 *
 * Files that do not load are in the summary's count of failures, not in the report's. What neither shows still counts as one
 * failure: a crash, or that no test passed at all.
 */
export const totalsOfRun = (report: string | undefined, printed: string, exitStatus: number): TestTotals => {
  const root = /<testsuites\b[^>]*>/.exec(report ?? "")?.[0] ?? ""
  const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0)
  const skipped = count("skipped")
  const passed = Math.max(0, count("tests") - count("failures") - skipped)
  const inSummary = [...Bun.stripANSI(printed).matchAll(/^ *(\d+) fail$/gm)].at(-1)
  const failed = Math.max(count("failures"), Number(inSummary?.[1] ?? 0))
  const isSilentFailure = failed === 0 && (exitStatus !== 0 || passed === 0)
  return { passed, failed: isSilentFailure ? 1 : failed, skipped }
}
