// Which instruction sets do these tests run on, and how do the others show?
import { describe, test } from "bun:test"
import { cpu } from "@powerinfer/backend-cpu"
import { type IsaName, isaNames, type LoadedPlugin, loadPlugin, readMachine } from "@powerinfer/core"
import { Effect } from "effect"

const { isas } = await Effect.runPromise(readMachine)

/** The CPU backend with two threads and the kernels of one instruction set. */
export const backendOn = (isa: IsaName): Promise<LoadedPlugin<"backend">> =>
  Effect.runPromise(loadPlugin(cpu({ isa, threads: 2 })))

const backends = new Map<IsaName, LoadedPlugin<"backend">>()
for (const isa of isas) backends.set(isa, await backendOn(isa))

/** Defines the tests of each instruction set; one that this machine lacks shows as skipped. */
export const onEachIsa = (define: (isa: IsaName, backend: LoadedPlugin<"backend">) => void): void => {
  for (const isa of isaNames) {
    if (isa === "auto") continue
    const backend = backends.get(isa)
    describe(`the CPU backend on ${isa}`, () => {
      if (backend) define(isa, backend)
      else test.skip(`is not tested: this CPU does not run ${isa}`, () => {})
    })
  }
}
