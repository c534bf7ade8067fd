// From which score on is a neuron named, so that enough of what fires is found?
import { costOfCode } from "./firing_rows.ts"

/** What recall counts: every neuron that fires alike, or as much as it adds to the output. */
export type RecallOf = "firing" | "magnitude"

/** What a threshold does to rows: counts, and shares of what fires. */
export interface Outcome {
  readonly named: number
  readonly fired: number
  readonly found: number
  /** Share of the neurons that fire. */
  readonly recall: number
  /** Share of what firing neurons add to the output. */
  readonly magnitude: number
  /** Share of the named that fire. */
  readonly precision: number
}

/**
 * The largest threshold above which lies at least `recall` of what fires.
 *
 * - `scores`  f32[row_count, ffn_width], `codes` beside them
 * - returns   -Infinity where everything is wanted; Infinity where nothing fires
 * - cost      sorts the scores of what fires
 */
export const thresholdOf = (scores: Float32Array, codes: Uint8Array, recall: number, of: RecallOf): number => {
  const firing: Array<number> = []
  let total = 0
  for (let at = 0; at < codes.length; at++) {
    if (codes[at] === 0) continue
    firing.push(at)
    total += of === "firing" ? 1 : costOfCode[codes[at]!]!
  }
  if (firing.length === 0) return Infinity
  const ascending = Uint32Array.from(firing).sort((a, b) => scores[a]! - scores[b]!)
  // What may be lost, from the lowest score on; the threshold is then the last one that was.
  let left = (1 - recall) * total
  let threshold = -Infinity
  for (const at of ascending) {
    left -= of === "firing" ? 1 : costOfCode[codes[at]!]!
    if (left < 0) return Math.min(threshold, below(scores[at]!))
    threshold = scores[at]!
  }
  return threshold
}

/** A little less, so that the score itself lies above: of equal scores, none may be lost by accident. */
const below = (score: number): number => score - Math.max(1e-6, Math.abs(score) * 1e-6)

/** Counts what is named at a threshold. */
export const outcomeOf = (scores: Float32Array, codes: Uint8Array, threshold: number): Outcome => {
  let [named, fired, found, all, kept] = [0, 0, 0, 0, 0]
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!
    const isNamed = scores[at]! > threshold
    if (isNamed) named++
    if (code === 0) continue
    fired++
    all += costOfCode[code]!
    if (!isNamed) continue
    found++
    kept += costOfCode[code]!
  }
  return {
    named,
    fired,
    found,
    recall: fired === 0 ? 1 : found / fired,
    magnitude: all === 0 ? 1 : kept / all,
    precision: named === 0 ? 1 : found / named
  }
}
