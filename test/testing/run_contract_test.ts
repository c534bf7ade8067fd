// Goal: a contract suite without a test runner ends in a report that says of every test what became of it.
// Method: a suite of four tests of which one passes, two fail and one is skipped.
import { expect, test } from "bun:test"
import { type ContractResult, type DefineTest, runContract, skipping } from "@powerinfer/core/testing"

const suite = (define: DefineTest): void => {
  define("passes", async () => {})
  define("fails", async () => {
    throw new Error("on purpose")
  })
  skipping(define)("cannot be measured", async () => {
    throw new Error("never run")
  })
  define("throws what is no Error", () => Promise.reject("a text"))
}

test("runContract() reports every test in order, as it ends", async () => {
  const heard: Array<ContractResult> = []
  const report = await runContract(suite, (result) => heard.push(result))
  expect(heard).toEqual([...report])
  expect(report.map(({ name, passed, skipped, error }) => [name, passed, skipped, error?.message])).toEqual([
    ["passes", true, undefined, undefined],
    ["fails", false, undefined, "on purpose"],
    ["cannot be measured", false, true, undefined],
    ["throws what is no Error", false, undefined, "a text"]
  ])
  for (const { seconds } of report) expect(seconds).toBeGreaterThanOrEqual(0)
})

test("skipping() uses the runner's own way to skip, and says so in the name where there is none", () => {
  const defined: Array<string> = []
  const define = (name: string) => void defined.push(`run ${name}`)
  skipping(Object.assign((name: string) => define(name), { ignore: (name: string) => defined.push(`ignore ${name}`) }))(
    "a",
    async () => {}
  )
  skipping(define)("b", async () => {})
  expect(defined).toEqual(["ignore a", "run b: not measurable here"])
})
