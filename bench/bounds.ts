// What is the most that a way of selecting neurons can bring, by bytes alone?
import { type NeuronSelector, type SparsityFacts, speedupBound } from "@powerinfer/core"

/**
 * The bound S on decode speed, relative to dense, at a measured share of active neurons.
 *
 * With f the FFN's share of a dense token's bytes and s the share of neurons left out:
 *
 * - proposes some, does not confirm: S = 1 / (1 − f · s), which counts a predictor's own bytes as none
 * - proposes every one, confirms: S = 1 / (1 − f · 2s/3) where the FFN is gated, 1 / (1 − f · s/2) where not; the gate is read in any case
 * - returns  undefined for a dense run, and where candidates are confirmed: how many gates are read is not known
 */
export const selectionBound = (
  { ffnShare, gateShare }: SparsityFacts,
  { proposes, confirms }: Pick<NeuronSelector, "proposes" | "confirms">,
  activeShare: number
): number | undefined => {
  if ((proposes === "every") !== confirms) return undefined
  return speedupBound(confirms ? ffnShare - gateShare : ffnShare, 1 - activeShare)
}
