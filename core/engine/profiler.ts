// Where does the time of batches go: on the devices, and in what the engine does around them?
import type { Device, Phase, StageTotals } from "../backend.ts"
import { phases } from "../backend.ts"
import { type NeuronSelector, withWrappedSelect } from "../predictor.ts"
import type { DivideNeurons } from "./divide.ts"
import type { Forward } from "./forward.ts"

/** The batches of one phase. `seconds` is everything, `stages` its parts in the order of a forward pass, "rest" the difference. */
export interface PhaseProfile {
  readonly batchCount: number
  readonly rowCount: number
  readonly seconds: number
  readonly stages: ReadonlyArray<StageTotals>
}

export type Profile = { readonly [P in Phase]: PhaseProfile }

/** Stages of the engine itself. */
type HostStage = "select" | "divide" | "sample"

/** Measures a plan from `start` on. Wraps what the token loop calls, so that a loop nobody profiles has no trace of it. */
export interface Profiler {
  /** Sets everything to zero. */
  start(): void
  read(): Profile
  selector(selector: NeuronSelector): NeuronSelector
  division(divide: DivideNeurons): DivideNeurons
  forward(forward: Forward): Forward
  /** Drawing a token from the last batch's logits, until its text is on its way. */
  sample(work: () => void): void
}

interface Counts {
  batchCount: number
  rowCount: number
  seconds: number
  readonly stages: { readonly [Stage in HostStage]: { callCount: number; seconds: number } }
}

const phaseOf = (rowCount: number): Phase => (rowCount === 1 ? "decode" : "prefill")

const noCounts = (): Counts => ({
  batchCount: 0,
  rowCount: 0,
  seconds: 0,
  stages: {
    select: { callCount: 0, seconds: 0 },
    divide: { callCount: 0, seconds: 0 },
    sample: { callCount: 0, seconds: 0 }
  }
})

/** A profiler of these devices, already started. What a device does not time itself is part of the rest. */
export const openProfiler = (devices: ReadonlyArray<Device>): Profiler => {
  const counts: { [P in Phase]: Counts } = { decode: noCounts(), prefill: noCounts() }
  let lastPhase: Phase = "prefill"

  const timed = (stage: HostStage, phase: Phase, work: () => void): number => {
    const begin = performance.now()
    work()
    const seconds = (performance.now() - begin) / 1000
    counts[phase].stages[stage].callCount++
    counts[phase].stages[stage].seconds += seconds
    return seconds
  }

  const start = (): void => {
    for (const phase of phases) counts[phase] = noCounts()
    for (const device of devices) device.profile?.start()
  }

  const readPhase = (phase: Phase): PhaseProfile => {
    const { batchCount, rowCount, seconds, stages } = counts[phase]
    const host = Object.entries(stages).map(([stage, totals]) => ({ stage, ...totals, bytes: 0 }))
    const known = sumByName([...devices.flatMap((device) => device.profile?.read(phase) ?? []), ...host])
    const rest = seconds - known.reduce((sum, stage) => sum + stage.seconds, 0)
    return {
      batchCount,
      rowCount,
      seconds,
      stages: [...known, { stage: "rest", callCount: batchCount, seconds: Math.max(0, rest), bytes: 0 }]
    }
  }

  start()
  return {
    start,
    read: () => ({ prefill: readPhase("prefill"), decode: readPhase("decode") }),
    selector: (selector) =>
      withWrappedSelect(
        selector,
        (block, hidden, active, batch) =>
          void timed("select", phaseOf(hidden.rowCount), () => selector.select(block, hidden, active, batch))
      ),
    division: (divide) => (block, rowCount, active, into) =>
      void timed("divide", phaseOf(rowCount), () => divide(block, rowCount, active, into)),
    forward: (forward) => (batch, interrupted) => {
      const begin = performance.now()
      const logits = forward(batch, interrupted)
      lastPhase = phaseOf(batch.rowCount)
      counts[lastPhase].batchCount++
      counts[lastPhase].rowCount += batch.rowCount
      counts[lastPhase].seconds += (performance.now() - begin) / 1000
      return logits
    },
    sample: (work) => {
      counts[lastPhase].seconds += timed("sample", lastPhase, work)
    }
  }
}

/** Stages of the same name, of several devices, as one. */
const sumByName = (stages: ReadonlyArray<StageTotals>): ReadonlyArray<StageTotals> => {
  const byName = new Map<string, StageTotals>()
  for (const { stage, callCount, seconds, bytes } of stages) {
    const sum = byName.get(stage) ?? { stage, callCount: 0, seconds: 0, bytes: 0 }
    byName.set(stage, {
      stage,
      callCount: sum.callCount + callCount,
      seconds: sum.seconds + seconds,
      bytes: sum.bytes + bytes
    })
  }
  return [...byName.values()].filter(({ callCount }) => callCount > 0)
}
