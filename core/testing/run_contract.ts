// How does a contract suite run where there is no test runner?
import type { DefineTest } from "./assertions.ts"

/** What became of one test. */
export interface ContractResult {
  readonly name: string
  readonly passed: boolean
  /** It cannot be run here: neither passed nor failed. */
  readonly skipped?: true
  readonly error?: Error
  readonly seconds: number
}

/** What became of all, in the order in which they were defined. */
export type ContractReport = ReadonlyArray<ContractResult>

/**
 * Runs the tests that `define` defines, one after the other. Never rejects: a test that throws is a result.
 *
 * @example
 * ```ts
 * const report = await runContract((test) => predictorContract({ test, plugin: mine }))
 * ```
 */
export const runContract = async (
  define: (test: DefineTest) => void,
  onResult: (result: ContractResult) => void = () => {}
): Promise<ContractReport> => {
  const tests: Array<{ readonly name: string; readonly run?: () => Promise<void> }> = []
  const collect = (name: string, run: () => Promise<void>) => void tests.push({ name, run })
  define(Object.assign(collect, { skip: (name: string) => void tests.push({ name }) }))
  const report: Array<ContractResult> = []
  for (const { name, run } of tests) {
    const result = await runOne(name, run)
    report.push(result)
    onResult(result)
  }
  return report
}

const runOne = async (name: string, run: (() => Promise<void>) | undefined): Promise<ContractResult> => {
  if (run === undefined) return { name, passed: false, skipped: true, seconds: 0 }
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  try {
    await run()
    return { name, passed: true, seconds: seconds() }
  } catch (cause) {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    return { name, passed: false, error, seconds: seconds() }
  }
}
