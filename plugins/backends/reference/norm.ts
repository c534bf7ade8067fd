// What brings a vector back to unit size.

export interface NormWeights {
  readonly kind: "rms" | "layer"
  readonly epsilon: number
  readonly weight: Float32Array
  readonly bias: Float32Array | undefined
}

/**
 * Writes norm(x) ⊙ weight + bias; the norm's width is the weight's. `x` and `out` may be the same range.
 *
 * - rms    x / √(mean(x²) + ε)
 * - layer  (x − mean(x)) / √(variance(x) + ε)
 */
export const applyNorm = (norm: NormWeights, x: Float32Array, at: number, out: Float32Array, outAt: number): void => {
  const width = norm.weight.length
  let mean = 0
  if (norm.kind === "layer") {
    for (let i = 0; i < width; i++) mean += x[at + i]!
    mean /= width
  }
  let squares = 0
  for (let i = 0; i < width; i++) squares += (x[at + i]! - mean) ** 2
  const scale = 1 / Math.sqrt(squares / width + norm.epsilon)
  for (let i = 0; i < width; i++) {
    out[outAt + i] = (x[at + i]! - mean) * scale * norm.weight[i]! + (norm.bias ? norm.bias[i]! : 0)
  }
}
