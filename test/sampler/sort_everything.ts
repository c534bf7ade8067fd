// The obviously correct sampler: builds the whole distribution by sorting everything, with Math.exp and fresh arrays.
import type { SamplerOptions } from "../../core/sampler/options.ts"

/** One token that may still be drawn. */
export interface Entry {
  readonly token: number
  readonly logit: number
}

/** Best first: the larger logit, then the lower token id. */
export const sorted = (entries: ReadonlyArray<Entry>): Array<Entry> =>
  [...entries].sort((a, b) => (a.logit === b.logit ? a.token - b.token : b.logit - a.logit))

/** softmax(logit / temperature) of the entries, in their order. */
export const softmax = (entries: ReadonlyArray<Entry>, temperature: number): Array<number> => {
  const best = Math.max(...entries.map((entry) => entry.logit))
  const weights = entries.map((entry) => Math.exp((entry.logit - best) / temperature))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

/** The k best. */
export const topK = (entries: ReadonlyArray<Entry>, k: number): Array<Entry> => sorted(entries).slice(0, k)

/** The best ones until their probabilities reach p. */
export const topP = (entries: ReadonlyArray<Entry>, p: number): Array<Entry> => {
  const ordered = sorted(entries)
  const probabilities = softmax(ordered, 1)
  let mass = 0
  return ordered.filter((_, i) => {
    const missing = mass < p
    mass += probabilities[i]!
    return missing
  })
}

/** Those at least p times as likely as the best. */
export const minP = (entries: ReadonlyArray<Entry>, p: number): Array<Entry> => {
  const probabilities = softmax(entries, 1)
  const least = Math.max(...probabilities) * p
  return entries.filter((_, i) => probabilities[i]! >= least)
}

/** Charges every token of `recent` (already cut to the window). */
export const penalties = (
  entries: ReadonlyArray<Entry>,
  recent: ReadonlyArray<number>,
  options: Pick<SamplerOptions, "repetitionPenalty" | "presencePenalty" | "frequencyPenalty">
): Array<Entry> =>
  entries.map(({ token, logit }) => {
    const count = recent.filter((other) => other === token).length
    if (count === 0) return { token, logit }
    const repeated = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty
    return { token, logit: repeated - count * options.frequencyPenalty - options.presencePenalty }
  })

/** Token → probability of being drawn, after the whole chain. Tokens that cannot be drawn are absent. Temperature > 0. */
export const distribution = (
  logits: Float32Array,
  options: SamplerOptions,
  accepted: ReadonlyArray<number>
): Map<number, number> => {
  const recent = options.penaltyWindow === 0 ? [] : accepted.slice(-options.penaltyWindow)
  let entries = Array.from(logits, (logit, token) => ({ token, logit: logit + (options.logitBias[token] ?? 0) }))
  entries = penalties(entries, recent, options)
  if (options.topK > 0) entries = topK(entries, options.topK)
  if (options.topP < 1) entries = topP(entries, options.topP)
  if (options.minP > 0) entries = minP(entries, options.minP)
  const probabilities = softmax(entries, options.temperature)
  const drawable = entries.map((entry, i) => [entry.token, probabilities[i]!] as const)
  return new Map(drawable.filter(([, probability]) => probability > 0))
}
