// How much memory will this model take?
import type { CacheType } from "../backend.ts"
import type { Linear, Model } from "./model.ts"

/** Bytes by what they are for. `totalBytes` is an upper bound: mapped weights are shared with other processes and can be evicted. */
export interface MemoryEstimate {
  /** Every tensor of the model, mapped from its file. */
  readonly weightBytes: number
  /** A second `down`, by neuron, for sparse runs; 0 where the file has it by neuron. Lies on disk and is mapped too. */
  readonly repackedDownBytes: number
  /** KV cache of one session. */
  readonly cacheBytes: number
  /** Hidden vectors and intermediate results of one batch. */
  readonly workspaceBytes: number
  readonly totalBytes: number
}

/** Bytes that a head's keys or values of one position take in a KV cache. */
export const cachedHeadBytes = (type: CacheType, headWidth: number): number =>
  type === "q8_0" ? Math.ceil(headWidth / 32) * 34 : headWidth * (type === "f16" ? 2 : 4)

/**
 * Estimates the memory of one session of a model on a device that holds all of it.
 *
 * - `contextLength`  positions of the session
 * - `rowCountMax`    most rows of one batch
 * - `sparse`         whether `down` is also needed by neuron; default: if the model is sparse
 */
export const estimateMemory = (
  model: Model,
  options: {
    readonly contextLength: number
    readonly cacheType: CacheType
    readonly rowCountMax: number
    readonly sparse?: boolean
  }
): MemoryEstimate => {
  const { blockCount, hiddenWidth, ffnWidth, headCount, kvHeadCount, headWidth, vocabularySize } = model.shape
  const sparse = options.sparse ?? model.sparse
  const weightBytes = modelBytes(model)
  // An estimate: codes and scales change places, but formats whose codes are not whole nibbles or bytes grow (Q6_K by a third, Q2_K threefold).
  const repackedDownBytes = model.blocks.reduce(
    (bytes, { down }) => bytes + (sparse && down.layout === "by_output" ? down.weight.sizeBytes : 0),
    0
  )
  const cachedHeads = 2 * blockCount * options.contextLength * kvHeadCount
  const cacheBytes = cachedHeads * cachedHeadBytes(options.cacheType, headWidth)
  // Residual, normalized and partial; q, k, v and the heads' output; gate and up; logits.
  const rowElements = 3 * hiddenWidth + 2 * (headCount + kvHeadCount) * headWidth + 2 * ffnWidth + vocabularySize
  const workspaceBytes = 4 * options.rowCountMax * rowElements
  const totalBytes = weightBytes + repackedDownBytes + cacheBytes + workspaceBytes
  return { weightBytes, repackedDownBytes, cacheBytes, workspaceBytes, totalBytes }
}

/** Bytes of every tensor that plays a part, tied ones counted once. */
export const modelBytes = (model: Model): number => {
  const bytesByName = new Map<string, number>()
  const add = (...tensors: ReadonlyArray<Partial<Linear> | Linear["weight"] | undefined>): void => {
    for (const tensor of tensors) {
      if (!tensor) continue
      if ("name" in tensor) bytesByName.set(tensor.name, tensor.sizeBytes)
      else add(tensor.weight, tensor.bias)
    }
  }
  add(model.tokenEmbedding, model.positionEmbedding, model.outputNorm, model.output, model.ropeFactors)
  for (const block of model.blocks) {
    add(block.attentionNorm, block.q, block.k, block.v, block.qNorm, block.kNorm, block.attentionOutput)
    add(block.ffnNorm, block.gate, block.up, block.down)
  }
  return [...bytesByName.values()].reduce((total, bytes) => total + bytes, 0)
}
