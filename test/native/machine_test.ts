// Goal: what the native library says of the machine arrives in TypeScript with every field in its place.
// Method: compared with what Node's own view of the machine allows.
import { expect, test } from "bun:test"
import { cpus, totalmem } from "node:os"
import { Effect } from "effect"
import { isaNames, readMachine } from "../../core/native/machine.ts"

test("readMachine() names the instruction sets, cores and memory that this process may use", async () => {
  const machine = await Effect.runPromise(readMachine)
  expect(machine.isas[0]).toBe("scalar")
  expect(isaNames.filter((name) => machine.isas.includes(name))).toEqual([...machine.isas])
  expect(machine.coreCount).toBeGreaterThanOrEqual(1)
  expect(machine.coreCount).toBeLessThanOrEqual(cpus().length)
  expect(machine.memoryBytes).toBeGreaterThan(2 ** 26)
  expect(machine.memoryBytes).toBeLessThanOrEqual(totalmem())
  expect(machine.memoryAvailableBytes).toBeGreaterThan(0)
  expect(machine.memoryAvailableBytes).toBeLessThanOrEqual(machine.memoryBytes)
})
