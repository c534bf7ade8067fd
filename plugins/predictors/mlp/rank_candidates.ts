// What would each width bring to a block? Measured with the linear guess, which costs no training.
import type { MatrixProduct, Model, Random, TrainingContext } from "@powerinfer/core"
import { gatherRows, rowsBetween } from "./firing_rows.ts"
import { gateDirections, type GateDirections } from "./gate_directions.ts"
import { blockBytes, type StoredType } from "./matrices.ts"
import { outcomeOf, type RecallOf, thresholdOf } from "./threshold.ts"
import type { Candidate } from "./widths.ts"

/** Rows that a guess is made from, and those that it is judged by. */
const guessRows = 8192
const judgeRows = 768
/** Widths that are compared: multiples of what types have in a block. */
const step = 32
/** The widest of them, as a multiple of what a block would get if all got the same. */
const widestShare = 2.5
/** And as a share of the hidden width, where that is not small: finding directions costs their number squared. */
const widestRank = (hiddenWidth: number): number => Math.max(256, hiddenWidth / 4)

export interface Candidacy {
  readonly model: Model
  readonly block: number
  readonly type: StoredType
  readonly relu: boolean
  readonly recall: number
  readonly by: RecallOf
  /** Of one neuron's part of the FFN. */
  readonly neuronBytes: number
  /** Of all blocks together. */
  readonly budgetBytes: number
}

/** Candidates, narrow ones first; at least one. */
export const rankCandidates = (
  candidacy: Candidacy,
  context: TrainingContext,
  random: Random,
  multiply: (product: MatrixProduct) => void
): ReadonlyArray<Candidate> => {
  const { model, block, type, relu, recall, by, neuronBytes } = candidacy
  const { ffnWidth } = model.shape
  const rows = gatherRows(context, block, guessRows + judgeRows)
  const at = Math.max(1, rows.rowCount - Math.max(1, Math.min(judgeRows, Math.floor(rows.rowCount / 4))))
  const guessed = rowsBetween(rows, model, 0, at)
  const judged = rowsBetween(rows, model, at, rows.rowCount)
  const ranks = ranksTried(candidacy)
  // With a relu between, a direction takes two of the rank.
  const directionsOf = (rank: number) => (relu ? Math.ceil(rank / 2) : rank)
  const directions = gateDirections(model, block, guessed, directionsOf(ranks.at(-1)!), random, multiply)
  const scores = offsetScores(directions, judged.rowCount, ffnWidth)
  let done = 0
  return ranks.map((rank) => {
    addScores(directions, done, directionsOf(rank), judged, scores, multiply)
    done = directionsOf(rank)
    const threshold = thresholdOf(scores, judged.codes, recall, by)
    const { named } = outcomeOf(scores, judged.codes, threshold)
    return {
      rank,
      sizeBytes: blockBytes(type, { ...model.shape, rank }),
      namedBytes: (named / judged.rowCount) * neuronBytes
    }
  })
}

const ranksTried = ({ model, type, budgetBytes }: Candidacy): ReadonlyArray<number> => {
  const { hiddenWidth, ffnWidth, blockCount } = model.shape
  const most = Math.min(hiddenWidth, ffnWidth, widestRank(hiddenWidth))
  const ranks: Array<number> = []
  for (let rank = step; rank <= most; rank += step) {
    const tooWide = blockBytes(type, { hiddenWidth, ffnWidth, rank }) > (widestShare * budgetBytes) / blockCount
    if (tooWide && ranks.length > 0) break
    ranks.push(rank)
  }
  return ranks.length === 0 ? [most] : ranks
}

const offsetScores = ({ offsets }: GateDirections, rowCount: number, ffnWidth: number): Float32Array => {
  const scores = new Float32Array(new ArrayBuffer(4 * rowCount * ffnWidth))
  for (let row = 0; row < rowCount; row++) scores.set(offsets, row * ffnWidth)
  return scores
}

/** Adds what directions begin … end contribute to the scores of rows. */
const addScores = (
  { fc1, loadings }: GateDirections,
  begin: number,
  end: number,
  { hidden, rowCount }: { readonly hidden: Float32Array; readonly rowCount: number },
  scores: Float32Array,
  multiply: (product: MatrixProduct) => void
): void => {
  const width = hidden.length / rowCount
  const ffnWidth = scores.length / rowCount
  const thin = new Float32Array(rowCount * (end - begin))
  const some = fc1.subarray(begin * width, end * width)
  multiply({ form: "abt", rows: rowCount, columns: end - begin, depth: width, a: hidden, b: some, c: thin })
  const columns = loadings.subarray(begin * ffnWidth, end * ffnWidth)
  const sizes = { rows: rowCount, columns: ffnWidth, depth: end - begin }
  multiply({ form: "ab", ...sizes, a: thin, b: columns, c: scores, adds: true })
}
