// What does this process hold, and does opening and closing something leave anything behind?
import { readdirSync, readFileSync } from "node:fs"
import * as Effect from "effect/Effect"

/** What a process holds once garbage has been collected. Undefined: the runtime or the system does not say. */
interface HeldResources {
  /** Live objects of JavaScript with the storage of their arrays, in bytes. */
  readonly heap: number | undefined
  /** Memory of the process that is in use, native code's included, in bytes. */
  readonly resident: number
  /** Memory it has asked for, in bytes. */
  readonly virtual: number | undefined
  readonly files: number | undefined
}

/** What every cycle has left behind, where it is more than what a runtime keeps for itself. Empty: nothing. */
export type Leak = { readonly [Resource in keyof HeldResources]?: number }

/** A leak grows in all of them. */
const roundsMax = 8
/** Of one round: a slow cycle is repeated less often. */
const roundMs = 250
const cyclesMax = 200

/** A round grows by less than this through what the runtime keeps: compiled code, an allocator's reserve. */
const noise = (cycleCount: number): { readonly [Resource in keyof HeldResources]: number } => ({
  heap: 2 ** 16 + 64 * cycleCount,
  resident: 2 ** 20,
  virtual: 2 ** 26,
  files: 0
})

/**
 * Runs `cycle` many times and says what each has left behind.
 *
 * - method  round after round of cycles, until one leaves nothing behind: what is kept once (a cache that fills, code that is compiled) is no leak
 */
export const measureLeak = Effect.fnUntraced(function* <E, R>(cycle: Effect.Effect<void, E, R>) {
  const start = performance.now()
  let warmUps = 0
  while (warmUps < 3 || (warmUps < 50 && performance.now() - start < roundMs)) {
    yield* cycle
    warmUps++
  }
  const cycleMs = (performance.now() - start) / warmUps
  const cycleCount = Math.max(4, Math.min(cyclesMax, Math.floor(roundMs / cycleMs)))

  const growths: Array<HeldResources> = []
  let leak: Leak = {}
  do {
    const before = readHeld()
    for (let count = 0; count < cycleCount; count++) yield* cycle
    growths.push(difference(readHeld(), before))
    leak = leastGrowth(growths, cycleCount)
  } while (growths.length < roundsMax && Object.keys(leak).length > 0)
  return leak
})

/** What every round has left behind, by cycle. */
const leastGrowth = (growths: ReadonlyArray<HeldResources>, cycleCount: number): Leak => {
  const leak: { -readonly [Resource in keyof Leak]: number } = {}
  const tolerated = noise(cycleCount)
  for (const resource of ["heap", "resident", "virtual", "files"] as const) {
    const least = Math.min(...growths.map((growth) => growth[resource] ?? 0))
    if (least > tolerated[resource]) leak[resource] = least / cycleCount
  }
  return leak
}

/** "1200 bytes of live objects and 1 open file"; undefined if nothing was left behind. */
export const describeLeak = ({ heap, resident, virtual, files }: Leak): string | undefined => {
  const bytes = (count: number, what: string) => `${Math.round(count)} bytes of ${what}`
  const parts = [
    heap !== undefined && bytes(heap, "live objects"),
    resident !== undefined && bytes(resident, "memory"),
    virtual !== undefined && bytes(virtual, "address space"),
    files !== undefined && `${Number(files.toFixed(2))} open files`
  ].filter((part) => part !== false)
  return parts.length > 0 ? parts.join(" and ") : undefined
}

const difference = (after: HeldResources, before: HeldResources): HeldResources => {
  const grown = (resource: keyof HeldResources) => {
    const [late, early] = [after[resource], before[resource]]
    return late === undefined || early === undefined ? undefined : late - early
  }
  return { heap: grown("heap"), resident: grown("resident") ?? 0, virtual: grown("virtual"), files: grown("files") }
}

const readHeld = (): HeldResources => {
  const heap = liveHeapBytes()
  return {
    heap,
    resident: process.memoryUsage.rss(),
    virtual: virtualBytes(),
    files: openFiles()
  }
}

/** Collects garbage first: without that the number says nothing. V8 does so only if it was started with --expose-gc. */
const liveHeapBytes = (): number | undefined => {
  if (process.versions.bun !== undefined) {
    const jsc = process.getBuiltinModule("bun:jsc") as {
      readonly gcAndSweep: () => number
      readonly heapSize: () => number
    }
    jsc.gcAndSweep()
    return jsc.heapSize()
  }
  const { gc } = globalThis as { readonly gc?: () => void }
  if (gc === undefined) return undefined
  gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const pageBytes = 4096

/** Linux says it in pages, of which only differences are used. */
const virtualBytes = (): number | undefined =>
  process.platform === "linux"
    ? Number(readFileSync("/proc/self/statm", "utf8").split(" ", 1)[0]) * pageBytes
    : undefined

const openFiles = (): number | undefined => {
  const folder = { linux: "/proc/self/fd", darwin: "/dev/fd" }[process.platform as string]
  return folder === undefined ? undefined : readdirSync(folder).length
}
