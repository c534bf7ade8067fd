// How unevenly do neurons fire? From counts alone: which are hot, and how much of all firing they do.

/** Neurons, those that fire most often first; of equals, the lowest. */
export const byFrequency = (counts: ArrayLike<number>): Uint32Array =>
  Uint32Array.from({ length: counts.length }, (_, neuron) => neuron).sort((a, b) => counts[b]! - counts[a]! || a - b)

/** The fewest neurons that do at least this share of all firing, most frequent first. None where nothing fires. */
export const hotNeurons = (counts: ArrayLike<number>, share: number): Uint32Array => {
  const neurons = byFrequency(counts)
  const wanted = share * sumOf(counts)
  let made = 0
  let hot = 0
  while (made < wanted) made += counts[neurons[hot++]!]!
  return neurons.subarray(0, hot)
}

/** Which share of all firing the most frequent `neuronShare` of the neurons does; 0 where nothing fires. */
export const shareOfHottest = (counts: ArrayLike<number>, neuronShare: number): number => {
  const hottest = byFrequency(counts).subarray(0, Math.round(neuronShare * counts.length))
  const all = sumOf(counts)
  return all === 0 ? 0 : hottest.reduce((sum, neuron) => sum + counts[neuron]!, 0) / all
}

/** Jaccard index of two sets of neurons: 1 if they are the same, both empty included. */
export const overlapOf = (one: Uint32Array, other: Uint32Array): number => {
  const known = new Set(one)
  const common = other.reduce((count, neuron) => count + (known.has(neuron) ? 1 : 0), 0)
  const all = one.length + other.length - common
  return all === 0 ? 1 : common / all
}

const sumOf = (counts: ArrayLike<number>): number => {
  let sum = 0
  for (let neuron = 0; neuron < counts.length; neuron++) sum += counts[neuron]!
  return sum
}
