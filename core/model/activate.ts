// What does an FFN make of a product?
import type { Activation } from "./model.ts"

/** The activation's value at x, in f64. For tests and for training: token loops run on a device. */
export const activate = (activation: Activation, x: number): number => {
  switch (activation) {
    case "identity":
      return x
    case "relu":
      return x > 0 ? x : 0
    case "relu_squared":
      return x > 0 ? x * x : 0
    case "silu":
      return x / (1 + Math.exp(-x))
    case "gelu":
      return (x / 2) * (1 + erf(x / Math.SQRT2))
  }
}

/** The error function by its Maclaurin series, all terms of which have one sign once e^(−x²) stands in front. */
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
