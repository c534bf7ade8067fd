// By which angle does each pair of dimensions turn from one position to the next?
import type { ModelShape } from "./model.ts"

/**
 * Radians per position of each pair: base^(−2i / width), divided by the linear factor and by the pair's own factor.
 *
 * - `factors`  f32[width / 2], the model's `ropeFactors`, read
 * - returns    f32[width / 2]; empty without rope. Computed in float64, rounded once
 */
export const inverseFrequencies = (positions: ModelShape["positions"], factors?: Float32Array): Float32Array => {
  if (positions.kind !== "rope") return new Float32Array(0)
  const { width, baseFrequency, linearFactor } = positions
  return Float32Array.from(
    { length: width / 2 },
    (_, i) => baseFrequency ** ((-2 * i) / width) / (linearFactor * (factors?.[i] ?? 1))
  )
}
