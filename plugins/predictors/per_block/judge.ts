// What does each predictor keep and cost in each block, on text?
import {
  Batch,
  type Model,
  NeuronSet,
  type NeuronSelector,
  type TrainingContext,
  type TrainingRows
} from "@powerinfer/core"

/** What one predictor does in one block. */
export interface Judgement {
  /** Σ |activation| of the neurons it names, as a share of all. */
  readonly kept: number
  /** Bytes that a token reads on average: the predictor's weights, and the FFN's rows. */
  readonly bytes: number
}

/**
 * Asks every predictor about the same rows, as if they were one long session that decodes, in each block as if it stood there alone, and adds up.
 *
 * Bytes of the FFN: where it confirms, the gate (ungated: up) of every candidate and the other rows of those that fire; else all rows of every candidate.
 * A row is counted for each token that uses it, as it is when one session decodes.
 *
 * - returns  [predictor][block]
 */
export const judgeAll = (
  selectors: ReadonlyArray<NeuronSelector>,
  { model, rows }: Pick<TrainingContext, "model" | "rows">
): ReadonlyArray<ReadonlyArray<Judgement>> => {
  const { blockCount, ffnWidth } = model.shape
  const sums = selectors.map(() => Array.from({ length: blockCount }, () => ({ kept: 0, all: 0, bytes: 0 })))
  let position = 0
  for (const blocks of inStep(model, rows)) {
    const { rowCount } = blocks[0]!
    const batch = new Batch(rowCount)
    for (let row = 0; row < rowCount; row++) batch.add(0, position++, 0, false)
    const active = new NeuronSet(ffnWidth, rowCount)
    for (const [which, selector] of selectors.entries()) {
      // From the last block to the first: who guesses at one block for the next is seen as it is where somebody else has the block before.
      for (const [block, { hidden, activations }] of [...blocks.entries()].toReversed()) {
        active.reset(rowCount)
        if (selector.proposes === "every") active.fill()
        else selector.select(block, { rowCount, width: model.shape.hiddenWidth, values: hidden }, active, batch)
        const sum = sums[which]![block]!
        const cost = neuronBytes(model, block, selector.confirms)
        sum.bytes += rowCount * (selector.selectionBytes?.[block] ?? 0)
        const limits = selector.confirms ? selector.thresholds?.[block]?.activation : undefined
        for (let row = 0; row < rowCount; row++) {
          for (let neuron = 0; neuron < ffnWidth; neuron++) {
            const magnitude = Math.abs(activations[row * ffnWidth + neuron]!)
            sum.all += magnitude
            if (!active.has(row, neuron)) continue
            sum.bytes += cost.candidate
            if (magnitude <= (limits?.[neuron] ?? 0)) continue
            sum.bytes += cost.fired
            sum.kept += magnitude
          }
        }
      }
    }
  }
  return sums.map((blocks) =>
    blocks.map(({ kept, all, bytes }) => ({ kept: all > 0 ? kept / all : 1, bytes: bytes / Math.max(1, position) }))
  )
}

/** The passes over all blocks, side by side. */
function* inStep(
  { shape }: Model,
  rows: TrainingContext["rows"]
): Generator<ReadonlyArray<TrainingRows>, void, undefined> {
  const passes = Array.from({ length: shape.blockCount }, (_, block) => rows(block)[Symbol.iterator]())
  for (;;) {
    const next = passes.map((pass) => pass.next())
    if (next.some(({ done }) => done)) return
    yield next.map(({ value }) => value as TrainingRows)
  }
}

/** What a neuron reads as soon as it is a candidate, and what more if it turns out to fire. */
const neuronBytes = ({ blocks, shape, sparse }: Model, block: number, confirms: boolean) => {
  const { gate, up, down } = blocks[block]!
  const perNeuron = (sizeBytes: number) => sizeBytes / shape.ffnWidth
  const first = perNeuron((gate ?? up).weight.sizeBytes)
  const rest = perNeuron((gate ? up.weight.sizeBytes : 0) + down.weight.sizeBytes)
  return confirms && sparse ? { candidate: first, fired: rest } : { candidate: first + rest, fired: 0 }
}
