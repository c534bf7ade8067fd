// What do the points of an experiment say? Means over seeds, the bounds beside each, and which ways no other beats.
import type { UsedPlugin } from "../artifacts/evaluation.ts"
import type { Interval } from "./bootstrap.ts"
import { type FidelityClass, fidelityClasses } from "./fidelity.ts"
import { paretoFront } from "./pareto.ts"
import type { PointRecord } from "./results_database.ts"

/** One way to run a model: its points with all seeds together. Intervals reach from the lowest to the highest end. */
export interface VariantSummary {
  readonly variant: string
  readonly predictor: UsedPlugin
  readonly placement: UsedPlugin
  readonly records: ReadonlyArray<PointRecord>
  /** It looks at what it should guess: a bound, and no way to run a model. */
  readonly oracle: boolean
  /** The worst of the seeds. */
  readonly fidelity: FidelityClass
  readonly divergence: Interval
  readonly topAgreement: Interval
  readonly deltaLogPerplexity: Interval
  readonly recall: Interval | undefined
  readonly precision: Interval | undefined
  readonly commonPrefix: number | undefined
  readonly decode: VariantDecode | undefined
  /** KL divergence of an oracle that computes as many neurons; undefined outside of what the oracles of the experiment span. */
  readonly oracleDivergence: number | undefined
  /** No other way loses less for as few bytes, or for as many tokens a second. */
  readonly onBytesFront: boolean
  readonly onSpeedFront: boolean
}

export interface VariantDecode {
  /** Weights and cache; of an oracle, without what it reads to look. */
  readonly bytesPerToken: number
  readonly predictorBytes: number
  readonly activeShare: number
  readonly tokensPerSecond: Interval
  /** Bandwidth over the bytes read: no way that reads so much is faster. Undefined where bandwidth is not known. */
  readonly rooflineTokensPerSecond: number | undefined
}

/** One file, with one line for each way to run it. */
export interface ModelSummary {
  readonly file: string
  readonly model: PointRecord["model"]
  /** What the dense runs that stood beside the points did. */
  readonly dense:
    | { readonly tokensPerSecond: number; readonly bytesPerToken: number; readonly bandwidthShare: number | undefined }
    | undefined
  /** In the order of the points; oracles come last, the best first. */
  readonly variants: ReadonlyArray<VariantSummary>
}

/**
 * Sorts the points of an experiment by model and way.
 *
 * - `isOracle`  whether a predictor is a bound
 */
export const summarize = (
  records: ReadonlyArray<PointRecord>,
  isOracle: (predictor: UsedPlugin) => boolean
): ReadonlyArray<ModelSummary> =>
  [...Map.groupBy(records, ({ file, model }) => `${model.fingerprint} ${file}`).values()].map(
    (ofModel): ModelSummary => {
      const variants = [...Map.groupBy(ofModel, ({ variant }) => variant).values()].map((own) =>
        summarizeVariant(own, isOracle(own[0]!.predictor))
      )
      const oracles = variants.filter(({ oracle }) => oracle)
      const ways = variants.filter(({ oracle }) => !oracle)
      const bytesFront = paretoFront(ways, lossOf, ({ decode }) => decode?.bytesPerToken ?? NaN)
      const speedFront = paretoFront(ways, lossOf, ({ decode }) => -(decode?.tokensPerSecond.value ?? NaN))
      return {
        file: ofModel[0]!.file,
        model: ofModel[0]!.model,
        dense: summarizeDense(ofModel),
        variants: [...ways, ...oracles.toSorted(byDivergence)].map((one) => ({
          ...one,
          oracleDivergence:
            one.oracle || one.decode === undefined ? undefined : oracleAt(oracles, one.decode.activeShare),
          onBytesFront: bytesFront.has(one),
          onSpeedFront: speedFront.has(one)
        }))
      }
    }
  )

const byDivergence = (one: VariantSummary, other: VariantSummary): number =>
  one.divergence.value - other.divergence.value

/** What is exact loses nothing: its divergence is rounding, and one rounding is not better than another. */
const lossOf = ({ fidelity, divergence }: VariantSummary): number => (fidelity === "exact" ? 0 : divergence.value)

const summarizeVariant = (records: ReadonlyArray<PointRecord>, oracle: boolean): VariantSummary => {
  const figures = records.map((record) => record.figures)
  const selections = figures.flatMap(({ selection }) => selection ?? [])
  const runs = figures.flatMap(({ freeRunning }) => freeRunning ?? [])
  const { variant, predictor, placement } = records[0]!
  return {
    variant,
    predictor,
    placement,
    records,
    oracle,
    fidelity: figures
      .map(({ fidelity }) => fidelity)
      .reduce((worst, one) => (fidelityClasses.indexOf(one) > fidelityClasses.indexOf(worst) ? one : worst)),
    divergence: overSeeds(figures.map(({ divergence }) => divergence.mean))!,
    topAgreement: overSeeds(figures.map(({ topAgreement }) => topAgreement))!,
    deltaLogPerplexity: overSeeds(figures.map(({ deltaLogPerplexity }) => deltaLogPerplexity))!,
    recall: overSeeds(selections.flatMap(({ recall }) => recall ?? [])),
    precision: overSeeds(selections.flatMap(({ precision }) => precision ?? [])),
    commonPrefix: runs.length > 0 ? mean(runs.map(({ commonPrefix }) => commonPrefix)) : undefined,
    decode: summarizeDecode(records, oracle),
    oracleDivergence: undefined,
    onBytesFront: false,
    onSpeedFront: false
  }
}

const summarizeDecode = (records: ReadonlyArray<PointRecord>, oracle: boolean): VariantDecode | undefined => {
  const decodes = records.flatMap(({ figures, tokenBytes, ffnBytes }) => {
    const asked = figures.decode?.asked
    if (asked === undefined) return []
    const weightBytes = oracle ? tokenBytes - ffnBytes * (1 - asked.activeShare) : asked.weightBytes
    return [{ ...asked, bytes: weightBytes + asked.cacheBytes }]
  })
  if (decodes.length === 0) return undefined
  const bytesPerToken = mean(decodes.map(({ bytes }) => bytes))
  const bandwidths = bandwidthsOf(records)
  return {
    bytesPerToken,
    predictorBytes: mean(decodes.map(({ predictorBytes }) => predictorBytes)),
    activeShare: mean(decodes.map(({ activeShare }) => activeShare)),
    tokensPerSecond: overSeeds(
      decodes.map(({ tokensPerSecond: { median, min, max } }) => ({ value: median, low: min, high: max }))
    )!,
    rooflineTokensPerSecond: bandwidths.length > 0 ? mean(bandwidths) / bytesPerToken : undefined
  }
}

const summarizeDense = (records: ReadonlyArray<PointRecord>): ModelSummary["dense"] => {
  const decodes = records.flatMap(({ figures }) => figures.decode?.dense ?? [])
  if (decodes.length === 0) return undefined
  const tokensPerSecond = mean(decodes.map(({ tokensPerSecond: { median } }) => median))
  const bytesPerToken = mean(decodes.map(({ weightBytes, cacheBytes }) => weightBytes + cacheBytes))
  const bandwidths = bandwidthsOf(records)
  const bandwidthShare = bandwidths.length > 0 ? (tokensPerSecond * bytesPerToken) / mean(bandwidths) : undefined
  return { tokensPerSecond, bytesPerToken, bandwidthShare }
}

const bandwidthsOf = (records: ReadonlyArray<PointRecord>): ReadonlyArray<number> =>
  records.flatMap(({ provenance }) => provenance.machine.bandwidthBytesPerSecond ?? [])

/** Between two oracles, along a straight line of the logarithm: divergence falls by orders of magnitude. */
const oracleAt = (oracles: ReadonlyArray<VariantSummary>, share: number): number | undefined => {
  const known = oracles
    .flatMap(({ decode, divergence }) => (decode ? [{ share: decode.activeShare, loss: divergence.value }] : []))
    .sort((a, b) => a.share - b.share)
  const above = known.findIndex((one) => one.share >= share)
  if (above < 0) return undefined
  const right = known[above]!
  if (right.share === share) return right.loss
  const left = known[above - 1]
  if (left === undefined) return undefined
  if (left.loss <= 0 || right.loss <= 0) return Math.min(left.loss, right.loss)
  const at = (share - left.share) / (right.share - left.share)
  return Math.exp(Math.log(left.loss) * (1 - at) + Math.log(right.loss) * at)
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const overSeeds = (intervals: ReadonlyArray<Interval>): Interval | undefined =>
  intervals.length === 0
    ? undefined
    : {
        value: mean(intervals.map(({ value }) => value)),
        low: Math.min(...intervals.map(({ low }) => low)),
        high: Math.max(...intervals.map(({ high }) => high))
      }
