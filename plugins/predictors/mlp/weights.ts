// Where do the weights lie, and what is said of them?
import {
  attemptGguf,
  type LowRank,
  type LowRankBlock,
  type Model,
  openPredictorWeights,
  PredictorFailure,
  type PredictorMismatch,
  readTensorBytes,
  type StoredMatrix,
  type StoredPredictor,
  type TensorInfo,
  type TrainingContext,
  wholeBlocks,
  writePredictorWeights
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type { BlockTraining, TrainedBlock } from "./train_block.ts"

const keys = {
  relu: "powerinfer.mlp.relu",
  ranks: "powerinfer.mlp.ranks",
  seed: "powerinfer.mlp.seed",
  rowCount: "powerinfer.mlp.row_count",
  wanted: "powerinfer.mlp.wanted",
  by: "powerinfer.mlp.by",
  recall: "powerinfer.mlp.recall",
  magnitude: "powerinfer.mlp.magnitude",
  precision: "powerinfer.mlp.precision"
} as const

const names = (block: number) => ({
  fc1: `blk.${block}.fc1.weight`,
  fc2: `blk.${block}.fc2.weight`,
  threshold: `blk.${block}.threshold`
})

/** Writes what training made. */
export const writeMlp = (
  { model, out, seed, rowCount }: Pick<TrainingContext, "model" | "out" | "seed" | "rowCount">,
  { relu, recall, by }: Pick<BlockTraining, "relu" | "recall" | "by">,
  blocks: ReadonlyArray<TrainedBlock>
): Effect.Effect<void, PredictorFailure> => {
  const { hiddenWidth, ffnWidth } = model.shape
  const each = (of: (block: TrainedBlock) => number) => Float32Array.from(blocks, of)
  return writePredictorWeights(
    { predictor: "mlp", path: out, model },
    {
      metadata: [
        [keys.relu, "bool", relu],
        [keys.ranks, "u32[]", Uint32Array.from(blocks, ({ rank }) => rank)],
        [keys.seed, "u32", seed],
        [keys.rowCount, "u32", rowCount],
        [keys.wanted, "f32", recall],
        [keys.by, "string", by],
        [keys.recall, "f32[]", each(({ outcome }) => outcome.recall)],
        [keys.magnitude, "f32[]", each(({ outcome }) => outcome.magnitude)],
        [keys.precision, "f32[]", each(({ outcome }) => outcome.precision)]
      ],
      tensors: blocks.flatMap(({ rank, stored: { down, up }, thresholds }, block) => [
        { name: names(block).fc1, type: down.type, shape: [hiddenWidth, rank], chunks: () => [down.bytes] },
        {
          name: names(block).fc2,
          type: up.type,
          shape: [wholeBlocks(up.type, rank), ffnWidth],
          chunks: () => [up.bytes]
        },
        {
          name: names(block).threshold,
          type: "F32",
          shape: [ffnWidth],
          chunks: () => [new Uint8Array(thresholds.buffer, thresholds.byteOffset, thresholds.byteLength)]
        }
      ])
    }
  )
}

/** What a selector is made of. */
export type MlpWeights = Pick<LowRank, "relu" | "reads" | "blocks">

/** Reads a file that training wrote; fails as `openPredictorWeights` does. */
export const readMlp = Effect.fnUntraced(function* (
  model: Model,
  path: string
): Effect.fn.Return<MlpWeights, PredictorFailure | PredictorMismatch> {
  const { hiddenWidth, ffnWidth } = model.shape
  const weights = yield* openPredictorWeights({ predictor: "mlp", path, model })
  const blocks: Array<LowRankBlock> = []
  for (const block of model.blocks.keys()) {
    const { fc1, fc2, threshold } = names(block)
    const rank = weights.gguf.tensors.get(fc1)?.shape[1] ?? 1
    const down = yield* weights.stored(fc1, [hiddenWidth, rank])
    const width = wholeBlocks(weights.gguf.tensors.get(fc2)?.type ?? "F32", rank)
    const up = yield* weights.stored(fc2, [width, ffnWidth])
    blocks.push({
      rank,
      down: { type: down.info.type, bytes: down.bytes },
      up: { type: up.info.type, bytes: up.bytes },
      thresholds: yield* weights.values(threshold, [ffnWidth])
    })
  }
  return { relu: weights.gguf.metadata.bool(keys.relu, false), reads: "hidden", blocks }
})

/**
 * The predictors in the model's own file, as PowerInfer's files have them: a relu between the matrices, the residual before its norm as input, one threshold for
 * all. A block without one is named whole. Undefined where the file has none.
 */
export const storedMlp = ({
  gguf,
  predictors,
  sparseThreshold,
  shape
}: Model): Effect.Effect<MlpWeights | undefined, PredictorFailure> => {
  const { hiddenWidth, ffnWidth } = shape
  const read = (info: TensorInfo): StoredMatrix => ({ type: info.type, bytes: readTensorBytes(gguf, info) })
  const blockOf = (stored: StoredPredictor | undefined): LowRankBlock =>
    stored === undefined
      ? {
          rank: 1,
          down: zeros(hiddenWidth),
          up: zeros(ffnWidth),
          thresholds: new Float32Array(ffnWidth).fill(-Infinity)
        }
      : {
          rank: stored.rank,
          down: read(stored.down),
          up: read(stored.up),
          thresholds: new Float32Array(ffnWidth).fill(sparseThreshold)
        }
  if (predictors === undefined) return Effect.succeed(undefined)
  return attemptGguf(() => ({ relu: true, reads: "residual", blocks: predictors.map(blockOf) }) as const).pipe(
    Effect.mapError(({ message }) => new PredictorFailure({ predictor: "mlp", reason: message }))
  )
}

const zeros = (count: number): StoredMatrix => ({ type: "F32", bytes: new Uint8Array(4 * count) })
