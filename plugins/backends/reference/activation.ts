// What an FFN applies to each product.
import type { Activation } from "@powerinfer/core"

/** The definitions. A NaN stays a NaN. */
export const activate: { readonly [Name in Activation]: (x: number) => number } = {
  identity: (x) => x,
  relu: (x) => Math.max(x, 0),
  relu_squared: (x) => Math.max(x, 0) ** 2,
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2))
}

/**
 * The error function by its series 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!, whose terms all have one sign, so that nothing
 * cancels. Above 6 it differs from 1 by less than a float64 can tell.
 */
const erf = (x: number): number => {
  if (Math.abs(x) > 6) return Math.sign(x)
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > Math.abs(sum) * Number.EPSILON; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}
