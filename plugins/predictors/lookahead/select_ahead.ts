// How does a guess that is made at one block wait for the next?
import { type Batch, NeuronSet, type NeuronSelector, type PredictorContext } from "@powerinfer/core"

/** No block has this number. */
const nothing = -1

/**
 * Names in each block what was guessed at the block before, about the same rows; every neuron where nothing was: in block 0, and where the block before was
 * not asked about these rows.
 *
 * - `guess`  names, asked about a block, neurons of the next one
 */
export const selectAhead = (
  guess: NeuronSelector,
  { model, rowCountMax }: Pick<PredictorContext, "model" | "rowCountMax">
): NeuronSelector => {
  const { blockCount, ffnWidth } = model.shape
  const next = new NeuronSet(ffnWidth, rowCountMax)
  /** The rows that `next` is about: u32[row_count_max, 3], as a batch has them. */
  const rows = new Uint32Array(rowCountMax * 3)
  let nextBlock = nothing

  const isAbout = (block: number, rowCount: number, batch: Batch): boolean => {
    if (nextBlock !== block || next.rowCount !== rowCount) return false
    for (let at = 0; at < rowCount * 3; at++) if (rows[at] !== batch.rows[at]) return false
    return true
  }

  return {
    proposes: "some",
    confirms: guess.confirms,
    exact: false,
    ...(guess.selectionBytes && {
      selectionBytes: guess.selectionBytes.map((bytes, block) => (block + 1 < blockCount ? bytes : 0))
    }),
    select: (block, hidden, active, batch) => {
      const { rowCount } = hidden
      if (isAbout(block, rowCount, batch)) {
        for (let word = 0; word < rowCount * active.wordsPerRow; word++) active.words[word] = next.words[word]!
      } else active.fill()
      nextBlock = nothing
      if (block + 1 === blockCount) return
      next.reset(rowCount)
      guess.select(block, hidden, next, batch)
      for (let at = 0; at < rowCount * 3; at++) rows[at] = batch.rows[at]!
      nextBlock = block + 1
    }
  }
}
