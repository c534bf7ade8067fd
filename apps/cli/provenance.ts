// On which machine, with which versions and by which command is something measured?
import { execFile } from "node:child_process"
import { cpus, totalmem, availableParallelism } from "node:os"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import { engineVersion, measureBandwidth, type Provenance, readMachine } from "powerinfer"

/**
 * What does not change while a command runs. What cannot be found out is left out.
 *
 * - `threads`  of the backend, for the bandwidth; 0: one a core
 */
export const readProvenance = Effect.fnUntraced(function* (threads: number) {
  const machine = yield* Effect.orElseSucceed(readMachine, () => undefined)
  const bandwidth = yield* Effect.orElseSucceed(measureBandwidth({ threads }), () => undefined)
  const commit = yield* Effect.promise(gitCommit)
  const { bun, deno, node } = process.versions as Readonly<Record<string, string | undefined>>
  const provenance: Omit<Provenance, "date" | "seconds"> = {
    command: process.argv.slice(2),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      isas: machine?.isas ?? [],
      cores: machine?.coreCount ?? availableParallelism(),
      memoryBytes: machine?.memoryBytes ?? totalmem(),
      ...(bandwidth !== undefined && { bandwidthBytesPerSecond: bandwidth })
    },
    versions: {
      powerinfer: engineVersion,
      ...(bun ? { bun } : deno ? { deno } : { node: node ?? "" })
    },
    ...(commit !== undefined && { commit })
  }
  return provenance
})

/** Of the directory that the command runs in; undefined outside of a repository, or without git. */
const gitCommit = async (): Promise<string | undefined> => {
  try {
    const { stdout } = await promisify(execFile)("git", ["rev-parse", "HEAD"])
    const { stdout: changes } = await promisify(execFile)("git", ["status", "--porcelain", "--untracked-files=no"])
    return `${stdout.trim()}${changes.trim() === "" ? "" : " with changes"}`
  } catch {
    return undefined
  }
}
