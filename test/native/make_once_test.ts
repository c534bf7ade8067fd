// Goal: of many who need the same file one makes it; a maker that fails, is interrupted or dies does not keep the others waiting.
// Method: makers that count themselves; locks as a dead process, an ended thread and a living process leave them.
import { describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, mkdtempSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { makeOnce } from "../../core/native/make_once.ts"
import { scratch } from "./tiny_library.ts"

const directory = scratch("make-once")

/** A file to be made within 20 ms, and how often that was tried. */
const workshop = () => {
  const place = mkdtempSync(join(directory, "file-"))
  const file = join(place, "file")
  const state = { makers: 0, waiters: 0 }
  const lock = join(place, "lock")
  const make = Effect.gen(function* () {
    state.makers++
    yield* Effect.sleep(20)
    writeFileSync(file, "made")
  })
  const options = { lock, isMade: () => existsSync(file), make, onWait: () => void state.waiters++ }
  const holdLock = (pid: number, touched: Date) => {
    mkdirSync(lock)
    writeFileSync(join(lock, "pid"), String(pid))
    utimesSync(lock, touched, touched)
  }
  return { options, state, lock, holdLock }
}

describe("makeOnce", () => {
  test("lets one of many make and removes its lock", async () => {
    const { options, state, lock } = workshop()
    const made = await Promise.all([1, 2, 3, 4, 5].map(() => Effect.runPromise(makeOnce(options))))
    expect(made.filter(Boolean)).toHaveLength(1)
    expect(state).toEqual({ makers: 1, waiters: 4 })
    expect(existsSync(lock)).toBe(false)
  })
  test("does nothing where the file is there", async () => {
    const { options, state, lock } = workshop()
    await Effect.runPromise(makeOnce(options))
    expect(await Effect.runPromise(makeOnce(options))).toBe(false)
    expect(state.makers).toBe(1)
    expect(existsSync(lock)).toBe(false)
  })
  test("lets the next one try when a maker fails", async () => {
    const { options, lock } = workshop()
    const broken = makeOnce({ ...options, make: Effect.andThen(Effect.sleep(20), Effect.fail("broken")) })
    const [failure, made] = await Promise.all([
      Effect.runPromise(Effect.flip(broken)),
      Effect.runPromise(Effect.andThen(Effect.sleep(5), makeOnce(options)))
    ])
    expect([failure, made]).toEqual(["broken", true])
    expect(existsSync(lock)).toBe(false)
  })
  test("lets the next one try when a maker is interrupted", async () => {
    const { options, lock } = workshop()
    const stuck = Effect.runFork(makeOnce({ ...options, make: Effect.never }))
    const next = Effect.runPromise(Effect.andThen(Effect.sleep(5), makeOnce(options)))
    await Bun.sleep(30)
    expect(existsSync(lock)).toBe(true)
    await Effect.runPromise(Fiber.interrupt(stuck))
    expect(await next).toBe(true)
  })
  test("takes the lock of a process that is no more", async () => {
    const { options, holdLock } = workshop()
    const { pid } = Bun.spawnSync(["true"])
    holdLock(pid, new Date())
    expect(await Effect.runPromise(makeOnce(options))).toBe(true)
  })
  test("takes a lock that a living process has not touched for long: the thread that held it was ended", async () => {
    const { options, holdLock } = workshop()
    holdLock(process.pid, new Date(Date.now() - 60_000))
    expect(await Effect.runPromise(makeOnce(options))).toBe(true)
  })
  test("waits for a living process that touched its lock a moment ago", async () => {
    const { options, state, holdLock } = workshop()
    holdLock(process.pid, new Date())
    const waiting = Effect.runFork(makeOnce(options))
    await Bun.sleep(300)
    expect(state).toEqual({ makers: 0, waiters: 1 })
    await Effect.runPromise(Fiber.interrupt(waiting))
  })
  test("keeps its lock fresh while it works", async () => {
    const { options, lock } = workshop()
    const stuck = Effect.runFork(makeOnce({ ...options, make: Effect.never }))
    utimesSync(lock, new Date(0), new Date(0))
    await Bun.sleep(1300)
    const { mtimeMs } = await Bun.file(lock).stat()
    expect(Date.now() - mtimeMs).toBeLessThan(1300)
    await Effect.runPromise(Fiber.interrupt(stuck))
  })
})
