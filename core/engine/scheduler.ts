// Whose rows go into the next batch? Sessions that decode share it; what room is left reads prompts.
import { Batch } from "../batch.ts"
import { openForward } from "./forward.ts"
import type { Generation } from "./generation.ts"
import type { OpenPlan } from "./open_plan.ts"
import { planCounters } from "./plan_counters.ts"

export interface Scheduler {
  add(generation: Generation): void
  /** Runs one batch. False if nothing is left to do. */
  step(interrupted?: () => boolean): boolean
}

interface Turn {
  readonly generation: Generation
  readonly rowCount: number
  /** Where its logits are, or -1 while its prompt goes on. */
  readonly logitIndex: number
}

/**
 * - `fail`  hears of a generation that broke (unusable logits, a native call that failed); the others go on
 */
export const openScheduler = (plan: OpenPlan, fail: (generation: Generation, error: unknown) => void): Scheduler => {
  const batch = new Batch(plan.rowCountMax)
  const forward = openForward(plan)
  const { vocabularySize } = plan.model.shape
  let generations: Array<Generation> = []
  /** Of a batch that failed: each runs alone once, so that only whose rows are to blame breaks. */
  let suspects: Array<Generation> = []

  /** Suspects first, one at a time; then decoding generations, one row each, so that a long prompt does not stall them. Whoever found no room comes first next time. */
  const fillBatch = (): Array<Turn> => {
    batch.clear()
    const turns: Array<Turn> = []
    suspects = suspects.filter((generation) => !generation.ended)
    const suspect = suspects.shift()
    const waiting = suspect ? [suspect] : generations
    const decoding = waiting.filter((generation) => !generation.prefilling)
    const prefilling = waiting.filter((generation) => generation.prefilling)
    for (const generation of [...decoding, ...prefilling]) {
      const rowCount = Math.min(generation.pending.length, batch.rowCountMax - batch.rowCount)
      if (rowCount === 0) break
      const { session, pending } = generation
      let logitIndex = -1
      for (let row = 0; row < rowCount; row++) {
        const isLast = row === pending.length - 1
        const position = session.tokens.length + row
        logitIndex = batch.add(pending[row]!, position, session.cache, isLast, generation.prefilling)
      }
      turns.push({ generation, rowCount, logitIndex })
    }
    return turns
  }

  const fallBehind = (turns: ReadonlyArray<Turn>): void => {
    const served = new Set(turns.map((turn) => turn.generation))
    generations = [
      ...generations.filter((g) => !served.has(g)),
      ...generations.filter((g) => served.has(g) && !g.ended)
    ]
  }

  const attempt = (generation: Generation, run: () => void): void => {
    try {
      run()
    } catch (error) {
      generation.abandon()
      fail(generation, error)
    }
  }

  const step = (interrupted?: () => boolean): boolean => {
    generations = generations.filter((generation) => !generation.ended)
    const turns = fillBatch()
    if (turns.length === 0) return false
    const before = planCounters(plan)
    const start = performance.now()
    let logits: Float32Array | undefined
    try {
      logits = forward(batch, interrupted)
    } catch (error) {
      if (turns.length > 1) suspects = turns.map((turn) => turn.generation)
      else {
        attempt(turns[0]!.generation, () => {
          throw error
        })
      }
      return true
    }
    if (!logits) return true
    const seconds = (performance.now() - start) / 1000
    const after = planCounters(plan)
    for (const { generation, rowCount, logitIndex } of turns) {
      const kind = generation.prefilling ? "prefill" : "decode"
      generation.meter.add(kind, seconds, rowCount / batch.rowCount, rowCount, before, after)
      generation.advance(rowCount)
      if (logitIndex < 0) continue
      const row = logits.subarray(logitIndex * vocabularySize, (logitIndex + 1) * vocabularySize)
      const next = () => generation.next(row)
      attempt(generation, plan.profiler ? () => plan.profiler!.sample(next) : next)
    }
    fallBehind(turns)
    return true
  }

  return { add: (generation) => generations.push(generation), step }
}
