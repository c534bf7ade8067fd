// How are several things measured so that a disturbance neither hits one of them alone nor is taken for their speed?
import { Effect } from "effect"

/** One of the things that are measured in turns. */
export interface TurnSubject<A, E> {
  /** Runs it once and says how fast it was. */
  readonly pass: Effect.Effect<A, E>
  /** Processes that work in a pass, beside this one: their load is not other people's. */
  readonly processes: ReadonlyArray<number>
}

export interface TurnOptions<P, E> {
  /** Passes of each subject that count; one more comes first and does not. */
  readonly repetitions: number
  /** Measures the machine itself: before the first pass and after each. */
  readonly probe: Effect.Effect<P, E>
  /** Starts counting; the returned function says how many cores have worked for other processes since, undefined if nobody knows. */
  readonly watch: (processes: ReadonlyArray<number>) => () => number | undefined
  /** A pass with more other load than this, in cores, is disturbed. */
  readonly otherLoadMax: number
  /** A disturbed pass is repeated at once, this often at most; if all were disturbed, the least disturbed one counts. */
  readonly retriesMax: number
}

/** A pass that counts, between two probes. */
export interface Turn<A, P> {
  readonly result: A
  readonly before: P
  readonly after: P
  readonly otherLoad: number | undefined
}

/** What came of one subject. */
export interface Turns<A, P> {
  readonly turns: ReadonlyArray<Turn<A, P>>
  /** Passes that do not count because they were disturbed. */
  readonly discardedCount: number
  /** Passes that count although they were. */
  readonly disturbedCount: number
}

/** Measures A B C A B C …; a disturbed pass is repeated. The order of the answers is that of the subjects. */
export const measureInTurns = Effect.fnUntraced(function* <A, P, E>(
  subjects: ReadonlyArray<TurnSubject<A, E>>,
  options: TurnOptions<P, E>
): Effect.fn.Return<ReadonlyArray<Turns<A, P>>, E> {
  for (const { pass } of subjects) yield* pass
  const attempts = subjects.map(() => 0)
  const kept = subjects.map((): Array<Turn<A, P>> => [])
  let before = yield* options.probe
  const isDisturbed = ({ otherLoad }: Turn<A, P>) => otherLoad !== undefined && otherLoad > options.otherLoadMax
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    for (const [index, { pass, processes }] of subjects.entries()) {
      let best: Turn<A, P> | undefined
      for (let retry = 0; retry <= options.retriesMax && (!best || isDisturbed(best)); retry++) {
        const otherLoad = options.watch(processes)
        const result = yield* pass
        const load = otherLoad()
        const after = yield* options.probe
        const turn = { result, before, after, otherLoad: load }
        if (!best || load! < best.otherLoad!) best = turn
        before = after
        attempts[index]!++
      }
      kept[index]!.push(best!)
    }
  }
  return subjects.map((_, index) => ({
    turns: kept[index]!,
    discardedCount: attempts[index]! - kept[index]!.length,
    disturbedCount: kept[index]!.filter(isDisturbed).length
  }))
})
