// From which score on is a neuron named, so that enough of the activations is kept?

const binCount = 4096

/**
 * The largest score above which at least `kept` of Σ |activation| lies, to one of 4096 parts of the scores' range.
 *
 * - returns  what to compare scores with, and the share of neurons that is then named
 */
export const calibrate = (
  scores: Float32Array,
  activations: Float32Array,
  kept: number
): { readonly threshold: number; readonly named: number } => {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (const score of scores) {
    least = Math.min(least, score)
    most = Math.max(most, score)
  }
  const width = (most - least) / binCount || 1
  const magnitudes = new Float64Array(binCount)
  const counts = new Float64Array(binCount)
  let all = 0
  for (let at = 0; at < scores.length; at++) {
    const bin = Math.min(binCount - 1, Math.floor((scores[at]! - least) / width))
    const magnitude = Math.abs(activations[at]!)
    magnitudes[bin]! += magnitude
    counts[bin]!++
    all += magnitude
  }
  let sum = 0
  let named = 0
  for (let bin = binCount - 1; bin >= 0; bin--) {
    sum += magnitudes[bin]!
    named += counts[bin]!
    // Strictly above is named: the lowest bin's edge is a score itself.
    if (sum >= kept * all)
      return { threshold: least + bin * width - (bin === 0 ? width : 0), named: named / scores.length }
  }
  return { threshold: least - width, named: 1 }
}
