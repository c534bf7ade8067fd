/** Guesses a block's neurons one block early, from the input of the FFN before it, so that there is time to fetch them. */
import {
  definePlugin,
  dequantize,
  type LowRankBlock,
  type MatrixProduct,
  type Model,
  openLowRankSelector,
  openMatrixProduct,
  openPredictorWeights,
  type PluginUse,
  PredictorFailure,
  quantize,
  tensorTypes,
  type TensorToWrite,
  type TrainingContext,
  usePlugin,
  wholeBlocks,
  writePredictorWeights
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { calibrate } from "./calibrate.ts"
import { fitGuess, gatherMoments, type HeldOutRows, type LinearGuess } from "./fit.ts"
import { selectAhead } from "./select_ahead.ts"

const predictor = "lookahead"
const defaultRank = 64
const defaultKept = 0.98
const defaultType = "Q8_0"
const types = ["Q8_0", "F16"] as const

const Options = Schema.Struct({
  file: Schema.optionalKey(Schema.String.annotate({ description: "Its matrices, as powerinfer train wrote them" })),
  rank: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThan(0)).annotate({
      description: `For training: how wide the way from one block to the next is; default ${defaultRank}`
    })
  ),
  kept: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).annotate({
      description: `For training: share of the activations that must be kept in each block; default ${defaultKept}`
    })
  ),
  type: Schema.optionalKey(
    Schema.Literals(types).annotate({
      description: `For training: what the matrices are stored as; default ${defaultType}`
    })
  )
})

/** Where the matrices lie; how they are made. */
export type LookaheadOptions = typeof Options.Type

const names = {
  down: (block: number) => `blk.${block}.ahead_down`,
  up: (block: number) => `blk.${block}.ahead_up`,
  thresholds: (block: number) => `blk.${block}.ahead_thresholds`
}

/** Names nothing: the last block has nobody after it. */
const nobody = ({ shape }: Model): LowRankBlock => ({
  rank: 1,
  down: { type: "F32", bytes: new Uint8Array(shape.hiddenWidth * 4) },
  up: { type: "F32", bytes: new Uint8Array(shape.ffnWidth * 4) },
  thresholds: new Float32Array(shape.ffnWidth).fill(Number.POSITIVE_INFINITY)
})

const readBlocks = Effect.fnUntraced(function* (path: string, model: Model) {
  const { hiddenWidth, ffnWidth, blockCount } = model.shape
  const weights = yield* openPredictorWeights({ predictor, path, model })
  const blocks: Array<LowRankBlock> = []
  for (let block = 0; block + 1 < blockCount; block++) {
    const found = weights.gguf.tensors.get(names.down(block))
    const rank = found?.shape[1] ?? 1
    const down = yield* weights.stored(names.down(block), [hiddenWidth, rank])
    const width = wholeBlocks(weights.gguf.tensors.get(names.up(block))?.type ?? "F32", rank)
    const up = yield* weights.stored(names.up(block), [width, ffnWidth])
    const thresholds = yield* weights.values(names.thresholds(block), [ffnWidth])
    blocks.push({
      rank,
      down: { type: down.info.type, bytes: down.bytes },
      up: { type: up.info.type, bytes: up.bytes },
      thresholds
    })
  }
  return [...blocks, nobody(model)]
})

/** What training learned of one block, as it is stored. */
const learn = (
  block: number,
  { rank, kept, type }: Required<Omit<LookaheadOptions, "file">>,
  context: TrainingContext,
  multiply: (product: MatrixProduct) => void
): ReadonlyArray<TensorToWrite> => {
  const { hiddenWidth, ffnWidth } = context.model.shape
  const { moments, heldOut } = gatherMoments(block, context, multiply)
  const guess = fitGuess(moments, rank, context.seed + block, multiply)
  const down = store(guess.down, hiddenWidth, type)
  const up = store(guess.up, rank, type)
  const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  // Scores as they will be: of the matrices as they are stored.
  const asStored = { down: restore(down, hiddenWidth), up: restore(up, rank), bias: guess.bias }
  const { threshold, named } = calibrate(scoresOf(asStored, heldOut, multiply), heldOut.activations, kept)
  const thresholds = guess.bias.map((bias) => threshold - bias)
  context.announce(`block ${block}: names ${(100 * named).toFixed(1)}% of the neurons of the next one`)
  return [
    { name: names.down(block), type: down.type, shape: [hiddenWidth, rank], chunks: () => [down.bytes] },
    { name: names.up(block), type: up.type, shape: [up.width, ffnWidth], chunks: () => [up.bytes] },
    { name: names.thresholds(block), type: "F32", shape: [ffnWidth], chunks: () => [bytesOf(thresholds)] }
  ]
}

interface Stored {
  readonly type: (typeof types)[number]
  /** Of a row, in whole blocks of the type. */
  readonly width: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Rows of `width`; the hidden vector's width must be whole blocks already, or F16 has to do. */
const store = (values: Float32Array, width: number, asked: (typeof types)[number]): Stored => {
  const type = values.length % tensorTypes[asked].blockSize === 0 || asked === "F16" ? asked : "F16"
  const stored = wholeBlocks(type, width)
  const padded = new Float32Array((values.length / width) * stored)
  for (let row = 0; row * width < values.length; row++) {
    padded.set(values.subarray(row * width, (row + 1) * width), row * stored)
  }
  return { type, width: stored, bytes: quantize(type, padded) }
}

const restore = ({ type, width, bytes }: Stored, wanted: number): Float32Array<ArrayBuffer> => {
  const rowCount = (bytes.length / tensorTypes[type].blockBytes) * (tensorTypes[type].blockSize / width)
  const padded = new Float32Array(rowCount * width)
  dequantize(type, bytes, padded)
  const values = new Float32Array(rowCount * wanted)
  for (let row = 0; row < rowCount; row++) {
    values.set(padded.subarray(row * width, row * width + wanted), row * wanted)
  }
  return values
}

const scoresOf = (
  { down, up, bias }: LinearGuess,
  { rowCount, hidden }: HeldOutRows,
  multiply: (product: MatrixProduct) => void
): Float32Array => {
  const ffnWidth = bias.length
  const rank = up.length / ffnWidth
  const hiddenWidth = down.length / rank
  const middle = new Float32Array(rowCount * rank)
  multiply({ form: "abt", rows: rowCount, columns: rank, depth: hiddenWidth, a: hidden, b: down, c: middle })
  const scores = new Float32Array(rowCount * ffnWidth)
  multiply({ form: "abt", rows: rowCount, columns: ffnWidth, depth: rank, a: middle, b: up, c: scores })
  return scores.map((score, at) => score + bias[at % ffnWidth]!)
}

const plugin = definePlugin({
  kind: "predictor",
  name: predictor,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,

  open: Effect.fnUntraced(function* ({ file }, context) {
    if (file === undefined) {
      const reason = "it has no file of matrices; make one with: powerinfer train lookahead"
      return yield* new PredictorFailure({ predictor, reason })
    }
    const blocks = yield* readBlocks(file, context.model)
    return selectAhead(
      yield* openLowRankSelector(context, { relu: false, reads: "hidden", confirms: true, blocks }),
      context
    )
  }),

  train: Effect.fnUntraced(function* (options, context) {
    const { rank = defaultRank, kept = defaultKept, type = defaultType } = options
    const { model, out } = context
    const multiply = yield* openMatrixProduct()
    const asked = { rank: Math.min(rank, model.shape.hiddenWidth), kept, type }
    const tensors: Array<TensorToWrite> = []
    for (let block = 0; block + 1 < model.shape.blockCount; block++)
      tensors.push(...learn(block, asked, context, multiply))
    yield* writePredictorWeights({ predictor, path: out, model }, { tensors })
    return { ...options, file: out }
  })
})

export default plugin

/** Guesses one block early, from a file, for an engine to open. */
export const lookahead = (options: LookaheadOptions): PluginUse<"predictor"> => usePlugin(plugin, options)
