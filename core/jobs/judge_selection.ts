// Does a predictor name the neurons that really fire?
import type { EvaluationFigures } from "../artifacts/evaluation.ts"
import type { Batch } from "../batch.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import type { NeuronSet } from "../neuron_set.ts"
import { selectorOfBlock, withSelect } from "../predictor.ts"
import { bootstrap } from "./bootstrap.ts"

/** Sums over the scored rows of one block. */
export interface SelectionSums {
  /** Rows × neurons. */
  neurons: number
  proposed: number
  /** Activation not zero. */
  fired: number
  /** Proposed, and fired. */
  hit: number
  /** Σ |activation|, of all neurons and of those that were proposed. */
  magnitude: number
  magnitudeKept: number
}

/** A plan that is watched, and what has been seen. */
export interface WatchedPlan {
  readonly plan: OpenPlan
  /** By block, what has been seen since the last call. */
  readonly take: () => ReadonlyArray<SelectionSums>
}

/** Thresholds on the gate drop neurons that the activations alone do not tell apart. */
export const canJudge = ({ model, selector, confirms }: Pick<OpenPlan, "model" | "selector" | "confirms">): boolean =>
  !(model.shape.gated && confirms && selector.thresholds?.some(({ gate }) => gate !== undefined))

/**
 * The plan, with every selection compared to the activations of the same hidden vectors: those of the run as it is, mistakes and all. Rows
 * count whose logits are wanted.
 *
 * - cost  one call of the home's `activations` for each block and batch: about a dense gate and up. A plan that is not watched pays nothing
 */
export const watchSelection = (plan: OpenPlan): WatchedPlan => {
  const { blockCount, ffnWidth } = plan.model.shape
  const activations = new Float32Array(new ArrayBuffer(plan.rowCountMax * ffnWidth * 4))
  let sums = emptySums(blockCount)
  let scored: Batch | undefined

  const count = (block: number, selected: NeuronSet | undefined) => {
    if (scored === undefined) return
    const limits = plan.confirms ? plan.selector.thresholds?.[block]?.activation : undefined
    for (let index = 0; index < scored.logitCount; index++) {
      countRow(sums[block]!, { activations, ffnWidth, selected, limits }, scored.logitRows[index]!)
    }
  }

  const home: OpenPlan["home"] = {
    ...plan.home,
    attend: (batch, block) => {
      const hidden = plan.home.attend(batch, block)
      scored = batch.logitCount > 0 ? batch : undefined
      if (scored !== undefined) {
        plan.home.activations(block, hidden, activations)
        if (selectorOfBlock(plan.selector, block).proposes === "every") count(block, undefined)
      }
      return hidden
    }
  }
  const selector = withSelect(plan.selector, (block, hidden, active, batch) => {
    plan.selector.select(block, hidden, active, batch)
    count(block, active)
  })
  const take = () => {
    const taken = sums
    sums = emptySums(blockCount)
    return taken
  }
  return { plan: { ...plan, home, selector, selectedBy: plan.selectedBy.map(() => "engine" as const) }, take }
}

/** What a row is judged by. */
export interface JudgedRows {
  /** f32[row_count, ffn_width] */
  readonly activations: Float32Array
  readonly ffnWidth: number
  /** Absent: every neuron. */
  readonly selected: NeuronSet | undefined
  /** f32[ffn_width]: magnitudes at or below are dropped. */
  readonly limits: Float32Array | undefined
}

/** Adds a row to the sums of its block. */
export const countRow = (sums: SelectionSums, rows: JudgedRows, row: number): void => {
  const { activations, ffnWidth, selected, limits } = rows
  sums.neurons += ffnWidth
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    const magnitude = Math.abs(activations[row * ffnWidth + neuron]!)
    const kept = (selected?.has(row, neuron) ?? true) && (limits === undefined || magnitude > limits[neuron]!)
    if (kept) sums.proposed++
    if (magnitude === 0) continue
    sums.fired++
    sums.magnitude += magnitude
    if (!kept) continue
    sums.hit++
    sums.magnitudeKept += magnitude
  }
}

/** By block. */
export const emptySums = (blockCount: number): Array<SelectionSums> =>
  Array.from({ length: blockCount }, () => ({
    neurons: 0,
    proposed: 0,
    fired: 0,
    hit: 0,
    magnitude: 0,
    magnitudeKept: 0
  }))

/**
 * What a predictor's proposals amount to.
 *
 * - `windows`  [window][block]
 * - `sparse`   zeros are what the model's activation makes: only then is there a truth to recall
 */
export const selectionFigures = (
  windows: ReadonlyArray<ReadonlyArray<SelectionSums>>,
  { sparse, seed }: { readonly sparse: boolean; readonly seed: number }
): NonNullable<EvaluationFigures["selection"]> => {
  const whole = windows.map((blocks) => addUp(blocks))
  const blocks = windows[0]!.map((_, block) => addUp(windows.map((window) => window[block]!)))
  const shares = sparse ? { ...anyShares, ...sparseShares } : anyShares
  const sharesOf = (sums: SelectionSums) => ({
    proposedShare: shares.proposedShare(sums),
    magnitudeKept: shares.magnitudeKept(sums),
    ...(sparse && {
      firedShare: sparseShares.firedShare(sums),
      recall: sparseShares.recall(sums),
      precision: sparseShares.precision(sums)
    })
  })
  return { ...bootstrap(whole, shares, { seed }), blocks: blocks.map(sharesOf) }
}

/** Of nothing, all. */
const ratio = (part: number, of: number): number => (of > 0 ? part / of : 1)

const anyShares = {
  proposedShare: ({ proposed, neurons }: SelectionSums) => ratio(proposed, neurons),
  magnitudeKept: ({ magnitudeKept, magnitude }: SelectionSums) => ratio(magnitudeKept, magnitude)
}

const sparseShares = {
  firedShare: ({ fired, neurons }: SelectionSums) => ratio(fired, neurons),
  recall: ({ hit, fired }: SelectionSums) => ratio(hit, fired),
  precision: ({ hit, proposed }: SelectionSums) => ratio(hit, proposed)
}

const addUp = (parts: ReadonlyArray<SelectionSums>): SelectionSums => {
  const total = emptySums(1)[0]!
  for (const part of parts) for (const key of Object.keys(total) as Array<keyof SelectionSums>) total[key] += part[key]
  return total
}
