// How much faster can a model become when only the neurons that fire are read?
import type { Model } from "./model.ts"
import type { TensorInfo } from "../gguf/tensor_index.ts"

/** Where the bytes of one decoded token go, as far as the file tells. */
export interface SparsityFacts {
  /** Weight bytes a dense token reads: every matrix once, one row of each embedding. */
  readonly tokenBytes: number
  /** The FFN's part of them. */
  readonly ffnBytes: number
  /** f = ffnBytes / tokenBytes. */
  readonly ffnShare: number
  /** What an exact gate must read even where nothing fires (gate; of an ungated FFN, up), as a share of `tokenBytes`. */
  readonly gateShare: number
}

export const sparsityFacts = (model: Model): SparsityFacts => {
  let tokenBytes = model.output.weight.sizeBytes + rowBytesOf(model.tokenEmbedding)
  if (model.positionEmbedding) tokenBytes += rowBytesOf(model.positionEmbedding)
  let ffnBytes = 0
  let gateBytes = 0
  for (const { q, k, v, attentionOutput, gate, up, down } of model.blocks) {
    for (const { weight } of [q, k, v, attentionOutput]) tokenBytes += weight.sizeBytes
    ffnBytes += (gate?.weight.sizeBytes ?? 0) + up.weight.sizeBytes + down.weight.sizeBytes
    gateBytes += (gate ?? up).weight.sizeBytes
  }
  tokenBytes += ffnBytes
  return { tokenBytes, ffnBytes, ffnShare: ffnBytes / tokenBytes, gateShare: gateBytes / tokenBytes }
}

/**
 * The most that sparsity can bring, by bytes alone: S = 1 / (1 − f · σ).
 *
 * - `skippableShare`  f: the part of a token's bytes that an inactive neuron saves. `ffnShare` for a perfect predictor
 *                     without weights, `ffnShare − gateShare` for an exact gate
 * - `sparsity`        σ: the share of neurons that do not fire, 0 … 1
 */
export const speedupBound = (skippableShare: number, sparsity: number): number => 1 / (1 - skippableShare * sparsity)

const rowBytesOf = (table: TensorInfo): number => table.sizeBytes / (table.shape[1] ?? 1)
