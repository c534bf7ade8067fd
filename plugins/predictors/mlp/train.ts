// How are the matrices of all blocks made, one block after another?
import {
  type Model,
  type NativeLibraryError,
  openMatrixProduct,
  type PredictorRefusal,
  PredictorFailure,
  requireZeros,
  randomFromSeed,
  rowBytes,
  type TrainingContext
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { gatherRows } from "./firing_rows.ts"
import { defaults, type MlpOptions } from "./options.ts"
import { decodePiece, encodePiece, rememberPiece } from "./pieces.ts"
import { rankCandidates } from "./rank_candidates.ts"
import { type BlockTraining, trainBlock, type TrainedBlock } from "./train_block.ts"
import { writeMlp } from "./weights.ts"
import { chooseWidths } from "./widths.ts"

/** A number of its own for each block and purpose, so that a block's training is the same whether those before it were trained or remembered. */
const seedOf = (seed: number, block: number, purpose: number): number => (seed * 65_537 + block) * 2 + purpose

type Settings = Omit<BlockTraining, "model" | "block" | "rank">

/** Trains all blocks and writes the file; returns the options that open it. */
export const trainMlp = Effect.fnUntraced(function* (
  options: MlpOptions,
  context: TrainingContext
): Effect.fn.Return<MlpOptions, PredictorRefusal, Scope.Scope> {
  const { model, announce } = context
  yield* requireZeros("mlp", model)
  if (context.rowCount < 2) {
    return yield* failure(`it cannot learn from ${context.rowCount} rows; give it a text of some thousand tokens`)
  }
  const { recall = defaults.recall, by = defaults.by, type = defaults.type } = options
  const { epochs = defaults.epochs, relu = defaults.relu } = options
  const settings: Settings = { recall, by, type, epochs, relu }
  const ranks = yield* ranksOf(options, settings, context)

  const blocks: Array<TrainedBlock> = []
  for (const [block, rank] of ranks.entries()) {
    const name = `block.${block}`
    const kept = decodePiece(context.checkpoint?.read(name))
    const trained = kept ?? (yield* trainOne({ ...settings, model, block, rank }, context))
    if (kept === undefined) yield* rememberPiece(context.checkpoint, name, encodePiece(trained))
    const { precision, recall: found, magnitude } = trained.outcome
    announce(
      `block ${block} of ${ranks.length}: rank ${rank}, ${percent(found)} of what fires found (${percent(magnitude)} by magnitude), ${percent(precision)} of what is named fires`
    )
    blocks.push(trained)
  }
  yield* writeMlp(context, settings, blocks)
  const { file: _file, ...opening } = options
  return { ...opening, file: context.out }
})

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`

const failure = (reason: string) => new PredictorFailure({ predictor: "mlp", reason })

/** A block's rows live no longer than its training. */
const trainOne = (settings: BlockTraining, context: TrainingContext) =>
  Effect.scoped(
    Effect.gen(function* () {
      const multiply = yield* openMatrixProduct()
      const rows = gatherRows(context, settings.block)
      const random = randomFromSeed(seedOf(context.seed, settings.block, 1))
      return yield* trainBlock(settings, rows, random, multiply, context.announce).pipe(
        Effect.catchTag("NativeCallFailed", ({ reason }) => Effect.fail(failure(reason)))
      )
    })
  )

/** The rank of each block: as asked for, or as the budget and the blocks themselves say. */
const ranksOf = Effect.fnUntraced(function* (
  { rank, budget = defaults.budget }: MlpOptions,
  settings: Settings,
  context: TrainingContext
): Effect.fn.Return<ReadonlyArray<number>, PredictorFailure | NativeLibraryError, Scope.Scope> {
  const { model } = context
  if (rank !== undefined) return model.blocks.map(() => rank)
  const kept = context.checkpoint?.read("ranks")
  if (kept !== undefined) return JSON.parse(new TextDecoder().decode(kept)) as ReadonlyArray<number>
  const ffnBytes = model.blocks.map((_, block) => ffnBytesOf(model, block))
  const budgetBytes = budget * ffnBytes.reduce((sum, bytes) => sum + bytes, 0)
  const multiply = yield* openMatrixProduct()
  const candidates = model.blocks.map((_, block) => {
    const random = randomFromSeed(seedOf(context.seed, block, 0))
    const neuronBytes = ffnBytes[block]! / model.shape.ffnWidth
    return rankCandidates({ ...settings, model, block, neuronBytes, budgetBytes }, context, random, multiply)
  })
  const chosen = chooseWidths(candidates, budgetBytes)
  if (chosen === undefined) {
    const least = candidates.reduce((sum, block) => sum + block[0]!.sizeBytes, 0) / (budgetBytes / budget)
    return yield* failure(
      `its budget of ${budget} is too small for any width; give it at least ${least.toPrecision(2)}`
    )
  }
  const ranks = chosen.map((index, block) => candidates[block]![index]!.rank)
  context.announce(`widths of the blocks: ${ranks.join(", ")}`)
  yield* rememberPiece(context.checkpoint, "ranks", new TextEncoder().encode(JSON.stringify(ranks)))
  return ranks
})

const ffnBytesOf = ({ blocks, shape: { hiddenWidth, ffnWidth } }: Model, block: number): number => {
  const { gate, up, down } = blocks[block]!
  const rows = gate === undefined ? [up.weight.type] : [gate.weight.type, up.weight.type]
  const downBytes =
    down.layout === "by_output"
      ? hiddenWidth * rowBytes(down.weight.type, ffnWidth)
      : ffnWidth * rowBytes(down.weight.type, hiddenWidth)
  return rows.reduce((sum, type) => sum + ffnWidth * rowBytes(type, hiddenWidth), downBytes)
}
