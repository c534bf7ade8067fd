// How often does each neuron of a planted block fire?
//
// Shares follow a power law over the neurons' rank, p(rank) = c · rank^−a, cut off at `shareMax`: no neuron fires always. Two numbers that people
// measure on trained models fix c and a: the mean share, and how much of all firing the hottest neurons do.

/** What the neurons of every block do, on average over tokens. */
export interface Activity {
  /** Share of a block's neurons that fire for a token. */
  readonly activeShare: number
  /** Share of the neurons that are called hot: those that fire most. */
  readonly hotNeurons: number
  /** Share of all firings that are theirs; equal to `hotNeurons` if all neurons fire alike. */
  readonly hotShare: number
}

/** The hottest neurons fire for this share of tokens. */
export const shareMax = 0.99

/** Why no block can do this, or undefined if one can. */
export const impossibleActivity = ({ activeShare, hotNeurons, hotShare }: Activity): string | undefined => {
  if (hotShare < hotNeurons)
    return `the hottest ${hotNeurons} of the neurons cannot do less than their part of the firing`
  const needed = (activeShare * hotShare) / hotNeurons
  if (needed < shareMax && activeShare < shareMax) return undefined
  return `the hottest neurons would have to fire for ${needed.toFixed(2)} of all tokens, and ${shareMax} is the most`
}

/**
 * The share of tokens that each neuron fires for, hottest first.
 *
 * - returns  f64[neuronCount], descending; its mean is `activeShare`
 * - throws   a RangeError if `impossibleActivity` gives a reason
 */
export const firingShares = (neuronCount: number, activity: Activity): Float64Array => {
  const reason = impossibleActivity(activity)
  if (reason !== undefined) throw new RangeError(`Cannot plant this activity: ${reason}`)
  const { activeShare, hotNeurons, hotShare } = activity
  const logRanks = Float64Array.from({ length: neuronCount }, (_, rank) => Math.log((rank + 0.5) / neuronCount))
  const hotCount = Math.round(hotNeurons * neuronCount)
  const sharesWith = (exponent: number): Float64Array => {
    const law = (logScale: number) => logRanks.map((log) => Math.min(shareMax, Math.exp(logScale - exponent * log)))
    // At the lower end no neuron exceeds the mean that is wanted, at the upper end none falls below it.
    const lowest = Math.log(activeShare) + exponent * logRanks[0]!
    return law(bisect(lowest, Math.log(activeShare), (logScale) => sum(law(logScale)) < activeShare * neuronCount))
  }
  return sharesWith(
    bisect(0, steepest, (exponent) => {
      const shares = sharesWith(exponent)
      return sum(shares.subarray(0, hotCount)) < hotShare * sum(shares)
    })
  )
}

/** With this exponent nearly all that fires is the hottest neurons, at `shareMax`. */
const steepest = 20

/** The number between `low` and `high` from which on `tooLow` is false. */
const bisect = (low: number, high: number, tooLow: (value: number) => boolean): number => {
  for (let step = 0; step < 30; step++) {
    const middle = (low + high) / 2
    if (tooLow(middle)) low = middle
    else high = middle
  }
  return high
}

const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0)
