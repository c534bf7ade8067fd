// How wide are the matrices of each block? Wide where that spares the most reading, within a number of bytes.

/** What a width would bring to one block. */
export interface Candidate {
  readonly rank: number
  /** Of its matrices, which every token reads. */
  readonly sizeBytes: number
  /** Of the neurons that it names for a token on average, at the recall that is wanted. */
  readonly namedBytes: number
}

/**
 * Chooses a candidate for every block: the least bytes a token, matrices and neurons together, that a budget allows.
 *
 * - `blocks`  candidates of each block, narrow ones first
 * - returns   an index for each block; undefined if not even the narrowest fit
 * - how       begins with the narrowest, and takes the step that spares the most for its bytes until none spares any
 */
export const chooseWidths = (
  blocks: ReadonlyArray<ReadonlyArray<Candidate>>,
  budgetBytes: number
): ReadonlyArray<number> | undefined => {
  const chosen = blocks.map(() => 0)
  let left = budgetBytes - blocks.reduce((sum, candidates) => sum + candidates[0]!.sizeBytes, 0)
  if (left < 0) return undefined
  for (;;) {
    let best:
      | { readonly block: number; readonly index: number; readonly cost: number; readonly worth: number }
      | undefined
    for (const [block, candidates] of blocks.entries()) {
      const from = candidates[chosen[block]!]!
      // Not only to the next: a step that spares nothing may stand before one that does.
      for (let index = chosen[block]! + 1; index < candidates.length; index++) {
        const cost = candidates[index]!.sizeBytes - from.sizeBytes
        const worth = (from.namedBytes - candidates[index]!.namedBytes - cost) / cost
        if (cost <= left && worth > (best?.worth ?? 0)) best = { block, index, cost, worth }
      }
    }
    if (best === undefined) return chosen
    chosen[best.block] = best.index
    left -= best.cost
  }
}
