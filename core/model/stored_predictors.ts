// Which predictors does a file hold beside its model, as PowerInfer's files do?
import type { ModelShape, StoredPredictor } from "./model.ts"
import type { ModelFile } from "./model_file.ts"

/**
 * Finds `blk.N.fc1.weight` and `blk.N.fc2.weight` of every block. Nothing where no block has any.
 *
 * Throws `InvalidModel` if one of a pair is missing, or does not fit the model or the other.
 */
export const readStoredPredictors = (
  file: ModelFile,
  { blockCount, hiddenWidth, ffnWidth }: ModelShape
): ReadonlyArray<StoredPredictor | undefined> | undefined => {
  const predictors = Array.from({ length: blockCount }, (_, block): StoredPredictor | undefined => {
    const downName = `blk.${block}.fc1.weight`
    const upName = `blk.${block}.fc2.weight`
    if (!file.hasTensor(downName) && !file.hasTensor(upName)) return undefined
    const down = file.tensorOfWidth(downName, hiddenWidth, `[${hiddenWidth}, rank]`)
    const rank = down.shape[1] ?? 1
    return { rank, down: file.tensor(downName, [hiddenWidth, rank]), up: file.tensor(upName, [rank, ffnWidth]) }
  })
  return predictors.some((predictor) => predictor !== undefined) ? predictors : undefined
}

/** The score from which PowerInfer computes a neuron, by the key it reads. Throws `InvalidMetadata`. */
export const readSparseThreshold = (file: ModelFile): number => {
  const key = "powerinfer.sparse_threshold"
  const threshold = file.gguf.metadata.f32(key, 0)
  if (Number.isFinite(threshold)) return threshold
  throw file.invalidKey(key, "a finite number", String(threshold))
}
