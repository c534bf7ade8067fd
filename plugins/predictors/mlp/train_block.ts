// How does one block learn? From the linear guess on, by AdamW on cross-entropy in which a miss costs what it would change.
import {
  type MatrixProduct,
  type Model,
  openTrainer,
  type Random,
  type ThinMatrices,
  type Trainer,
  type TrainingData
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import { costOfCode, rowsBetween } from "./firing_rows.ts"
import { gateDirections, startingMatrices } from "./gate_directions.ts"
import { type StoredType, storedValues, storeMatrices } from "./matrices.ts"
import { outcomeOf, type Outcome, type RecallOf, thresholdOf } from "./threshold.ts"

/** Rows of a step. */
const batchRows = 512
/** Rows that the first guess is made from. */
const guessRows = 16384
/** A last part of the rows is held out, for the choice of the best pass and for thresholds: one in ten, and no more than it takes to know them. */
const heldOutShare = 0.1
const heldOutMax = 6144
/**
 * Step of AdamW as a share of the root mean square of the weights, divided by the steepness of the guess, so that it moves logits alike: a good guess is steep. It
 * falls to 0 along a cosine, after a rise over the first steps.
 */
const relativeRate = 0.15
const warmUpSteps = 40
const weightDecay = 0.01
/** Share of what a miss costs that goes by the neuron's part in the output; the rest is the same for all. */
const costShare = 0.5
const costMax = 8
/** A guess as precise as this, one of nearly full rank, is not trained. */
const preciseEnough = 0.99
/** Passes that may bring nothing before training ends. */
const patience = 2
/** Steps between two chances to be interrupted. */
const stepsAtOnce = 8

export interface BlockTraining {
  readonly model: Model
  readonly block: number
  readonly rank: number
  readonly relu: boolean
  readonly type: StoredType
  readonly epochs: number
  readonly recall: number
  readonly by: RecallOf
}

export interface TrainedBlock {
  readonly rank: number
  readonly stored: ReturnType<typeof storeMatrices>
  readonly thresholds: Float32Array
  /** On the rows that were held out. */
  readonly outcome: Outcome
}

/** Splits the rows in those to learn from and those held out. */
export const splitRows = (rows: TrainingData, model: Pick<Model, "shape">) => {
  const heldOut = Math.min(heldOutMax, Math.max(1, Math.floor(rows.rowCount * heldOutShare)))
  const at = Math.max(1, rows.rowCount - heldOut)
  return {
    learning: rowsBetween(rows, model, 0, at),
    heldOut: rowsBetween(rows, model, Math.min(at, rows.rowCount - 1), rows.rowCount)
  }
}

/** f32[256]: how much a code counts in the loss; 1 on average of those that fire. */
const weightsOf = (codes: Uint8Array): Float32Array => {
  let [fired, sum] = [0, 0]
  for (const code of codes) {
    if (code === 0) continue
    fired++
    sum += Math.min(costOfCode[code]!, Number.MAX_VALUE)
  }
  const mean = fired === 0 ? 1 : sum / fired
  return Float32Array.from(costOfCode, (cost, code) =>
    code === 0 ? 1 : 1 - costShare + costShare * Math.min(costMax, cost / mean)
  )
}

/** Trains a block on its rows, rounds the matrices to their type, and only then looks for thresholds. */
export const trainBlock = Effect.fnUntraced(function* (
  settings: BlockTraining,
  rows: TrainingData,
  random: Random,
  multiply: (product: MatrixProduct) => void,
  announce: (line: string) => void
) {
  const { model, block, rank, relu, type, epochs, recall, by } = settings
  const { shape } = model
  const widths = { hiddenWidth: shape.hiddenWidth, ffnWidth: shape.ffnWidth, rank }
  const { learning, heldOut } = splitRows(rows, model)
  const trainer = yield* openTrainer({ ...widths, relu, rowCountMax: batchRows, weightDecay })
  const start = startOf(settings, learning, random, multiply)
  trainer.write(start)

  const scores = new Float32Array(new ArrayBuffer(4 * heldOut.rowCount * shape.ffnWidth))
  const judge = (): { readonly threshold: number; readonly outcome: Outcome } => {
    trainer.scores(heldOut.hidden, heldOut.rowCount, scores)
    const threshold = thresholdOf(scores, heldOut.codes, recall, by)
    return { threshold, outcome: outcomeOf(scores, heldOut.codes, threshold) }
  }
  const guessed = judge().outcome
  let best: { readonly matrices: ThinMatrices; readonly named: number } = { matrices: start, named: guessed.named }
  let wasted = guessed.precision < preciseEnough ? 0 : patience
  const schedule = scheduleOf(start, Math.ceil(learning.rowCount / batchRows) * epochs)
  const weights = weightsOf(learning.codes)
  for (let epoch = 1; epoch <= epochs && wasted < patience; epoch++) {
    const loss = yield* trainOnce(trainer, learning, weights, random, schedule)
    const { outcome } = judge()
    announce(
      `block ${block}, rank ${rank}, pass ${epoch} of ${epochs}: loss ${loss.toPrecision(3)}, precision ${percent(outcome.precision)} at a recall of ${percent(outcome.recall)}`
    )
    wasted = outcome.named < best.named ? 0 : wasted + 1
    if (wasted === 0) best = { matrices: trainer.read(), named: outcome.named }
  }

  const stored = storeMatrices(type, widths, best.matrices)
  trainer.write({ ...storedValues(widths, stored), bias: best.matrices.bias })
  const { threshold, outcome } = judge()
  const trained: TrainedBlock = {
    rank,
    stored,
    thresholds: best.matrices.bias.map((bias) => threshold - bias),
    outcome
  }
  return trained
})

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`

interface Start extends ThinMatrices {
  readonly steepness: number
}

/** The linear guess, its matrices brought to one scale, since one rate serves both; with a relu between, each direction stands there with both signs. */
const startOf = (
  { model, block, rank, relu }: BlockTraining,
  learning: TrainingData,
  random: Random,
  multiply: (product: MatrixProduct) => void
): Start => {
  const { shape } = model
  const directionCount = relu ? Math.ceil(rank / 2) : rank
  const rows = rowsBetween(learning, model, 0, Math.min(guessRows, learning.rowCount))
  const directions = gateDirections(model, block, rows, directionCount, random, multiply)
  const { fc1, fc2, bias, steepness } = startingMatrices(directions, directionCount, shape, multiply)
  const scale = Math.sqrt(rootMeanSquare(fc2) / rootMeanSquare(fc1))
  const both = { fc1: fc1.map((value) => value * scale), fc2: fc2.map((value) => value / scale), bias }
  return { ...(relu ? withBothSigns(both, rank, shape) : both), steepness }
}

/** max(0, v) - max(0, -v) = v: twice the rows, and twice the columns. */
const withBothSigns = (
  { fc1, fc2, bias }: ThinMatrices,
  rank: number,
  { hiddenWidth, ffnWidth }: Model["shape"]
): ThinMatrices => {
  const half = Math.ceil(rank / 2)
  const signOf = (k: number) => (k < half ? 1 : -1)
  return {
    fc1: Float32Array.from({ length: rank * hiddenWidth }, (_, at) => {
      const k = Math.floor(at / hiddenWidth)
      return signOf(k) * fc1[(k % half) * hiddenWidth + (at % hiddenWidth)]!
    }),
    fc2: Float32Array.from({ length: ffnWidth * rank }, (_, at) => {
      const k = at % rank
      return signOf(k) * fc2[Math.floor(at / rank) * half + (k % half)]!
    }),
    bias
  }
}

const rootMeanSquare = (values: Float32Array): number =>
  Math.max(1e-9, Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length))

/** The rate of each step. */
const scheduleOf = ({ fc1, steepness }: Start, stepCount: number) => {
  const highest = (relativeRate * rootMeanSquare(fc1)) / steepness
  let step = 0
  return (): number => {
    const rise = Math.min(1, (step + 1) / warmUpSteps)
    const fall = 0.5 * (1 + Math.cos((Math.PI * step++) / stepCount))
    return highest * rise * fall
  }
}

/** One pass over the rows in random order; returns the mean loss. */
const trainOnce = Effect.fnUntraced(function* (
  trainer: Trainer,
  learning: TrainingData,
  weights: Float32Array,
  random: Random,
  nextRate: () => number
) {
  const order = new Uint32Array(new ArrayBuffer(4 * learning.rowCount))
  for (let row = 0; row < order.length; row++) {
    const other = Math.floor(random.nextUniform() * (row + 1))
    order[row] = order[other]!
    order[other] = row
  }
  let [loss, steps] = [0, 0]
  for (let begin = 0; begin < order.length; begin += batchRows) {
    loss += trainer.step(learning, order.subarray(begin, begin + batchRows), weights, nextRate())
    if (++steps % stepsAtOnce === 0) yield* Effect.yieldNow
  }
  return loss / steps
})
