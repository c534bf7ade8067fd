// Which predictor should each block have, so that enough is kept and least is read?
import type { Judgement } from "./judge.ts"

/**
 * For each block the predictor it should have, so that the mean share kept over the blocks is at least `kept`, if that can be.
 *
 * Begins with whoever keeps most in each block and then changes one block at a time, always where most bytes are saved for what is lost, as long as the
 * loss may be borne: the greedy way through a multiple-choice knapsack.
 *
 * - `judgements`  [predictor][block]
 */
export const choosePredictors = (
  judgements: ReadonlyArray<ReadonlyArray<Judgement>>,
  kept: number
): ReadonlyArray<number> => {
  const blockCount = judgements[0]!.length
  const at = (predictor: number, block: number) => judgements[predictor]![block]!
  const predictors = judgements.map((_, predictor) => predictor)
  const chosen = Array.from(
    { length: blockCount },
    (_, block) => predictors.toSorted((a, b) => better(at(a, block), at(b, block)))[0]!
  )
  let spare = chosen.reduce((sum, predictor, block) => sum + at(predictor, block).kept, 0) - kept * blockCount
  for (;;) {
    let best:
      | { readonly block: number; readonly predictor: number; readonly rate: number; readonly loss: number }
      | undefined
    for (const [block, current] of chosen.entries()) {
      for (const predictor of predictors) {
        const saved = at(current, block).bytes - at(predictor, block).bytes
        const loss = at(current, block).kept - at(predictor, block).kept
        if (saved <= 0 || loss > spare) continue
        const rate = loss > 0 ? saved / loss : Number.POSITIVE_INFINITY
        if (best === undefined || rate > best.rate) best = { block, predictor, rate, loss }
      }
    }
    if (best === undefined) return chosen
    chosen[best.block] = best.predictor
    spare -= best.loss
  }
}

/** Keeps more; of equals, reads less. */
const better = (a: Judgement, b: Judgement): number => b.kept - a.kept || a.bytes - b.bytes
