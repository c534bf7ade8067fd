// How far are the logits of one run from those of another, and from the token that really came?

/** Of one position; natural logarithms. */
export interface RowScore {
  denseNll: number
  askedNll: number
  /** KL(dense ‖ asked). */
  divergence: number
  /** Both have the same highest logit. */
  agrees: boolean
}

/**
 * Scores one position of two runs.
 *
 * - `dense`, `asked`  f32[vocabulary_size], logits
 * - `into`            overwritten
 */
export const scoreRow = (dense: Float32Array, asked: Float32Array, target: number, into: RowScore): void => {
  const denseTop = indexOfLargest(dense)
  const askedTop = indexOfLargest(asked)
  const denseMax = dense[denseTop]!
  const askedMax = asked[askedTop]!
  let denseSum = 0
  let askedSum = 0
  let difference = 0
  for (let token = 0; token < dense.length; token++) {
    const logit = dense[token]! - denseMax
    const other = asked[token]! - askedMax
    const weight = Math.exp(logit)
    denseSum += weight
    askedSum += Math.exp(other)
    difference += weight * (logit - other)
  }
  const denseNorm = Math.log(denseSum)
  const askedNorm = Math.log(askedSum)
  into.denseNll = denseNorm + denseMax - dense[target]!
  into.askedNll = askedNorm + askedMax - asked[target]!
  // Never below 0 but by rounding.
  into.divergence = Math.max(0, difference / denseSum + askedNorm - denseNorm)
  into.agrees = denseTop === askedTop
}

/** Of equals, the first. */
export const indexOfLargest = (values: Float32Array): number => {
  let best = 0
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index
  return best
}
