// How sure is a figure that was measured on a few windows of a text?
import * as Schema from "effect/Schema"
import { randomFromSeed } from "../sampler/random.ts"

/** A figure, and where 95% of what other windows of the same text would have given lies. */
export const Interval = Schema.Struct({ value: Schema.Finite, low: Schema.Finite, high: Schema.Finite })
export type Interval = typeof Interval.Type

/**
 * Percentile intervals of figures that are functions of sums over windows (ratios, mostly): windows are drawn with replacement.
 *
 * Tokens of a window depend on each other, windows hardly: so whole windows are drawn. All figures see the same draws.
 *
 * - `figures`  from the sums over all windows to a number
 * - source     Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapter 13
 */
export const bootstrap = <Sums extends { readonly [Key in keyof Sums]: number }, Name extends string>(
  windows: ReadonlyArray<Sums>,
  figures: Readonly<Record<Name, (sums: Sums) => number>>,
  { seed, resamples = 1000 }: { readonly seed: number; readonly resamples?: number }
): Readonly<Record<Name, Interval>> => {
  const names = Object.keys(figures).map((name) => name as Name)
  const drawn = new Map(names.map((name) => [name, new Float64Array(resamples)]))
  const random = randomFromSeed(seed)
  for (let resample = 0; resample < resamples; resample++) {
    const chosen = windows.map(() => windows[Math.floor(random.nextUniform() * windows.length)]!)
    const sums = addUp(chosen)
    for (const name of names) drawn.get(name)![resample] = figures[name](sums)
  }
  const whole = addUp(windows)
  const intervals = names.map((name): readonly [Name, Interval] => {
    const ordered = drawn.get(name)!.sort()
    return [name, { value: figures[name](whole), low: quantile(ordered, 0.025), high: quantile(ordered, 0.975) }]
  })
  return Object.fromEntries(intervals) as Record<Name, Interval>
}

/** Of ascending values, with straight lines between them; of none, 0. */
export const quantile = (ordered: ArrayLike<number>, share: number): number => {
  const place = share * (ordered.length - 1)
  const below = ordered[Math.floor(place)] ?? 0
  const above = ordered[Math.ceil(place)] ?? 0
  return below + (above - below) * (place - Math.floor(place))
}

const addUp = <Sums extends { readonly [Key in keyof Sums]: number }>(windows: ReadonlyArray<Sums>): Sums => {
  const total: Partial<Record<keyof Sums, number>> = {}
  for (const window of windows) for (const key in window) total[key] = (total[key] ?? 0) + window[key]
  return total as Sums
}
