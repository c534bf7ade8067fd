// Goal: subjects take turns, a disturbed pass is repeated and not counted, and there is an end to repeating.
// Method: passes and probes that only write down that they ran; other loads by script.
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { measureInTurns, type TurnOptions } from "../../bench/turns.ts"

/** Runs subjects by name; the loads are handed out pass by pass, then 0. */
const run = async (
  names: ReadonlyArray<string>,
  options: Partial<TurnOptions<number, never>>,
  loads: ReadonlyArray<number | undefined> = []
) => {
  const log: Array<string> = []
  let pass = 0
  let probe = 0
  let watched = 0
  const measured = await Effect.runPromise(
    measureInTurns(
      names.map((name, index) => ({
        processes: [index],
        pass: Effect.sync(() => {
          log.push(name)
          return `${name}${pass++}`
        })
      })),
      {
        repetitions: 2,
        otherLoadMax: 0.1,
        retriesMax: 3,
        probe: Effect.sync(() => {
          log.push("probe")
          return probe++
        }),
        watch: () => () => (watched < loads.length ? loads[watched++] : 0),
        ...options
      }
    )
  )
  return { log: log.join(" "), measured }
}

describe("measureInTurns()", () => {
  test("warms every subject up, then runs A B A B with a probe before and after each pass", async () => {
    const { log, measured } = await run(["A", "B"], {})
    expect(log).toBe("A B probe A probe B probe A probe B probe")
    expect(measured.map(({ turns }) => turns.map((turn) => turn.result))).toEqual([
      ["A2", "A4"],
      ["B3", "B5"]
    ])
    expect(measured[1]!.turns.map(({ before, after }) => [before, after])).toEqual([
      [1, 2],
      [3, 4]
    ])
    expect(measured).toMatchObject([
      { discardedCount: 0, disturbedCount: 0 },
      { discardedCount: 0, disturbedCount: 0 }
    ])
  })

  test("repeats a disturbed pass at once and counts the quiet one", async () => {
    // A, B disturbed, B disturbed, B, A, B
    const { log, measured } = await run(["A", "B"], {}, [0, 0.5, 0.2, 0.1, 0, 0])
    expect(log).toBe("A B probe A probe B probe B probe B probe A probe B probe")
    expect(measured[1]).toMatchObject({ discardedCount: 2, disturbedCount: 0 })
    expect(measured[1]!.turns[0]).toMatchObject({ result: "B5", before: 3, after: 4, otherLoad: 0.1 })
    expect(measured[0]).toMatchObject({ discardedCount: 0, disturbedCount: 0 })
  })

  test("gives up after the last retry and counts the least disturbed pass", async () => {
    const { log, measured } = await run(["A"], { repetitions: 1, retriesMax: 2 }, [0.7, 0.3, 0.9])
    expect(log).toBe("A probe A probe A probe A probe")
    expect(measured).toMatchObject([{ discardedCount: 2, disturbedCount: 1 }])
    expect(measured[0]!.turns).toEqual([{ result: "A2", before: 1, after: 2, otherLoad: 0.3 }])
  })

  test("counts every pass where nobody knows the load", async () => {
    const { measured } = await run(["A"], {}, [undefined, undefined])
    expect(measured).toMatchObject([{ discardedCount: 0, disturbedCount: 0 }])
    expect(measured[0]!.turns[0]!.otherLoad).toBeUndefined()
  })

  test("watches with the processes of the subject whose turn it is", async () => {
    const watched: Array<ReadonlyArray<number>> = []
    const watch = (processes: ReadonlyArray<number>) => {
      watched.push(processes)
      return () => 0
    }
    await run(["A", "B"], { repetitions: 1, watch })
    expect(watched).toEqual([[0], [1]])
  })
})
