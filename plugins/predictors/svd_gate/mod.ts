/**
 * Multiplies the input by the two thin matrices whose product is nearest to the gate on real inputs, and lets the real gate confirm. Calibrated on rows of
 * a text, not trained: how much a neuron's guess errs comes out of the same second moments.
 */
import {
  definePlugin,
  leadingLeftVectors,
  type Matrix,
  dequantize,
  openLowRankSelector,
  openMatrixProduct,
  openPredictorWeights,
  PredictorFailure,
  type PluginUse,
  type PredictorContext,
  quantize,
  randomFromSeed,
  readFiringRows,
  requireZeros,
  type TensorToWrite,
  type TrainingContext,
  usePlugin,
  wholeBlocks,
  writePredictorWeights
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Multiply, SecondMoments, times } from "./factor.ts"

const name = "svd_gate"
const defaultMargin = 1.5
const defaultType = "Q4_0"
/** Of the hidden width. */
const defaultRankShare = 0.375

const Options = Schema.Struct({
  file: Schema.optionalKey(Schema.String.annotate({ description: "The matrices, made by: powerinfer train svd_gate" })),
  rank: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThan(0)).annotate({
      description: `To train: width between the matrices; default three eighths of the hidden width`
    })
  ),
  type: Schema.optionalKey(
    Schema.Literals(["Q4_0", "Q8_0", "F16"]).annotate({
      description: `To train: type of the matrices; default ${defaultType}`
    })
  ),
  margin: Schema.optionalKey(
    Schema.Finite.annotate({
      description: `How far below zero a guess may be, in standard deviations of its error; more misses less and reads more; default ${defaultMargin}`
    })
  ),
  confirm: Schema.optionalKey(
    Schema.Boolean.annotate({ description: "The FFN computes the real gate of the candidates first; default true" })
  )
})

/** Which matrices, and how far they are trusted. */
export type SvdGateOptions = typeof Options.Type

/** Rounds of subspace iteration. */
const iterationCount = 4

type MatrixType = "Q4_0" | "Q8_0" | "F16"

const failure = (reason: string) => new PredictorFailure({ predictor: name, reason })

const open = Effect.fnUntraced(function* (
  { file, margin = defaultMargin, confirm = true }: SvdGateOptions,
  context: PredictorContext
) {
  const { model } = context
  const { blockCount, hiddenWidth, ffnWidth } = model.shape
  yield* requireZeros(name, context.model)
  if (file === undefined) return yield* failure("it needs a file; make it with: powerinfer train svd_gate")
  const weights = yield* openPredictorWeights({ predictor: name, path: file, model })
  const blocks = yield* Effect.forEach(
    Array.from({ length: blockCount }, (_, block) => block),
    Effect.fnUntraced(function* (block) {
      const prefix = `blk.${block}.`
      const rank = weights.gguf.tensors.get(`${prefix}down.weight`)?.shape[1] ?? 0
      const down = yield* weights.stored(`${prefix}down.weight`, [hiddenWidth, rank])
      const up = yield* weights.stored(`${prefix}up.weight`, [wholeBlocks(down.info.type, rank), ffnWidth])
      const errors = yield* weights.values(`${prefix}error`, [ffnWidth])
      const shifts = yield* weights.values(`${prefix}shift`, [ffnWidth])
      return {
        rank,
        down: { type: down.info.type, bytes: down.bytes },
        up: { type: up.info.type, bytes: up.bytes },
        thresholds: errors.map((error, neuron) => -margin * error - shifts[neuron]!)
      }
    })
  )
  return yield* openLowRankSelector(context, { relu: false, reads: "hidden", confirms: confirm, blocks })
})

/** One block: what the native kernel multiplies, and the deviation of its error by neuron. */
const factorBlock = (
  multiply: Multiply,
  given: { readonly gate: Matrix; readonly root: Matrix; readonly rank: number; readonly type: MatrixType },
  uniform: () => number
) => {
  const { gate, root, rank, type } = given
  const left = leadingLeftVectors(multiply, times(multiply, gate, root), rank, { uniform, iterationCount })
  // Rows of zeros, and columns, where the rank ends inside a block of the type.
  const upWidth = wholeBlocks(type, rank)
  const down = new Float32Array(new ArrayBuffer(4 * upWidth * gate.width))
  const downRows = down.subarray(0, rank * gate.width)
  downRows.set(times(multiply, left, gate).values)
  const up = new Float32Array(new ArrayBuffer(4 * gate.rows * upWidth))
  for (let n = 0; n < gate.rows; n++) {
    for (let r = 0; r < rank; r++) up[n * upWidth + r] = left.values[r * gate.rows + n]!
  }
  const stored = { down: quantize(type, downRows), up: quantize(type, up) }
  // What the stored matrices lose, rounding included.
  dequantize(type, stored.down, downRows)
  dequantize(type, stored.up, up)
  const lost = times(
    multiply,
    { rows: gate.rows, width: upWidth, values: up },
    { rows: upWidth, width: gate.width, values: down }
  )
  for (let i = 0; i < lost.values.length; i++) lost.values[i] = gate.values[i]! - lost.values[i]!
  const weighted = times(multiply, lost, root).values
  const errors = Float32Array.from({ length: gate.rows }, (_, n) => {
    const row = weighted.subarray(n * gate.width, (n + 1) * gate.width)
    return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
  })
  return { ...stored, upWidth, errors }
}

const train = Effect.fnUntraced(function* (options: SvdGateOptions, context: TrainingContext) {
  const { model, rows, seed, out, announce } = context
  const { blockCount, hiddenWidth, ffnWidth } = model.shape
  yield* requireZeros(name, context.model)
  const { type = defaultType, rank: asked = Math.ceil(defaultRankShare * hiddenWidth) } = options
  const rank = Math.min(asked, hiddenWidth, ffnWidth)
  if (wholeBlocks(type, hiddenWidth) !== hiddenWidth) {
    return yield* failure(`rows of ${hiddenWidth} weights are not whole blocks of ${type}; train it with type=F16`)
  }
  const multiply = yield* openMatrixProduct()
  const tensors: Array<TensorToWrite> = []
  for (let block = 0; block < blockCount; block++) {
    announce(`${name}: block ${block + 1} of ${blockCount}`)
    const moments = new SecondMoments(multiply, hiddenWidth)
    for (const { hidden, rowCount } of rows(block)) moments.add(hidden, rowCount)
    const { weights, bias } = yield* readFiringRows(name, model, block)
    const random = randomFromSeed(seed + block)
    const gate = { rows: ffnWidth, width: hiddenWidth, values: weights }
    const { down, up, upWidth, errors } = factorBlock(multiply, { gate, root: moments.root(), rank, type }, () =>
      random.nextUniform()
    )
    const vector = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    tensors.push(
      { name: `blk.${block}.down.weight`, type, shape: [hiddenWidth, rank], chunks: () => [down] },
      { name: `blk.${block}.up.weight`, type, shape: [upWidth, ffnWidth], chunks: () => [up] },
      { name: `blk.${block}.error`, type: "F32", shape: [ffnWidth], chunks: () => [vector(errors)] },
      // The bias, which the guess of gate · x leaves out.
      {
        name: `blk.${block}.shift`,
        type: "F32",
        shape: [ffnWidth],
        chunks: () => [vector(bias ?? new Float32Array(ffnWidth))]
      }
    )
  }
  yield* writePredictorWeights({ predictor: name, path: out, model }, { tensors })
  return { ...options, file: out }
})

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open,
  train
})

export default plugin

/** The factored gate, for an engine to open. */
export const svdGate = (options: SvdGateOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, options)
