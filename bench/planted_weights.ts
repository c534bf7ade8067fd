// Which weights make a model of any size whose neurons fire as often as planned?
//
// The first channels of the residual stream are constant: every embedding holds the same value there, and no block writes to them. A gate row's
// first weights are therefore a bias, and the rest of it, random, gives the neuron's input a normal distribution around that bias.
// Blocks add so little to the residual stream that its spread, and with it the share of firing neurons, stays as planned to the last one.
import {
  quantize,
  randomFromSeed,
  type QuantizableTypeName,
  rowBytes,
  type TensorToWrite,
  tensorTypes
} from "@powerinfer/core"
import { matrixType, type PlantedType } from "./planted_types.ts"

/** The sizes of a planted model: a llama with a gated ReLU. */
export interface PlantedShape {
  readonly blockCount: number
  readonly hiddenWidth: number
  readonly ffnWidth: number
  readonly headCount: number
  readonly kvHeadCount: number
  readonly vocabularySize: number
  readonly contextLength: number
}

export interface PlantedWeights {
  readonly shape: PlantedShape
  readonly type: PlantedType
  /** Share of neurons that fire for a token, between 0 and 1. */
  readonly activeShare: number
  readonly seed: number
}

/** The residual stream's variance grows by this from the first block to the last. */
const growth = 0.1
/** The constant channels hold this share of the embedding's energy, relative to the other channels. */
const constantEnergy = 0.25
/** Standard deviation of the logits: far from uniform, far from certain. */
const logitSpread = 3
/** Random numbers drawn once. Every weight row is a stretch of them: two rows overlap, but at a shift, so their products with anything are independent. */
const poolSize = 2 ** 20

/** The tensors in the file's order. The same description gives the same bytes. */
export const plantedTensors = ({ shape, type, activeShare, seed }: PlantedWeights): ReadonlyArray<TensorToWrite> => {
  const { blockCount, hiddenWidth, ffnWidth, headCount, kvHeadCount, vocabularySize } = shape
  const kvWidth = (hiddenWidth / headCount) * kvHeadCount
  const unit = normalPool(seed)
  const { threshold, energy } = firing(unit, activeShare)

  const constantWidth = Math.max(32, tensorTypes[matrixType(type, "token_embd.weight", blockCount)].blockSize)
  const constant = Math.sqrt((constantEnergy * hiddenWidth) / constantWidth)
  const randomWidth = hiddenWidth - constantWidth
  const weightSpread = 1 / Math.sqrt(hiddenWidth)
  const blockGrowth = growth / (2 * blockCount)

  /** Few spreads are asked for, each by many tensors. */
  const encodedPools = new Map<string, Uint8Array>()
  const encodedPool = (stored: QuantizableTypeName, spread: number): Uint8Array => {
    const key = `${stored} ${spread}`
    const pool =
      encodedPools.get(key) ??
      quantize(
        stored,
        unit.map((value) => value * spread)
      )
    encodedPools.set(key, pool)
    return pool
  }

  /** Random rows; `prefix` replaces the first columns, and the first `zeroRows` rows are zero. */
  const matrix = (
    name: string,
    [width, rowCount]: readonly [number, number],
    spread: number,
    special: { readonly prefix?: Float32Array; readonly zeroRows?: number } = {}
  ): TensorToWrite => {
    const stored = matrixType(type, name, blockCount)
    return {
      name,
      type: stored,
      shape: [width, rowCount],
      chunks: () => {
        const pool = encodedPool(stored, spread)
        const prefix = special.prefix && quantize(stored, special.prefix)
        return plantedRows(stored, {
          width,
          rowCount,
          pool,
          prefix,
          zeroRows: special.zeroRows ?? 0,
          seed: seedOf(name, seed)
        })
      }
    }
  }
  const norm = (name: string): TensorToWrite => ({
    name,
    type: "F32",
    shape: [hiddenWidth],
    chunks: () => [new Uint8Array(new Float32Array(hiddenWidth).fill(1).buffer)]
  })
  const columns = (value: number) => new Float32Array(constantWidth).fill(value)

  const block = (index: number): ReadonlyArray<TensorToWrite> => {
    const named = (name: string) => `blk.${index}.${name}.weight`
    // Standard deviation of the random channels before this block's FFN, relative to the embedding's. The norm scales both kinds alike.
    const spread = Math.sqrt(1 + blockGrowth * (2 * index + 1))
    const gateBias = (-threshold * weightSpread * Math.sqrt(randomWidth) * spread) / (constantWidth * constant)
    // The mean square of relu(gate · x) ⊙ (up · x), where x has mean square 1.
    const activationEnergy = energy / (1 + constantEnergy)
    const keepsConstant = { zeroRows: constantWidth }
    return [
      norm(named("attn_norm")),
      matrix(named("attn_q"), [hiddenWidth, hiddenWidth], weightSpread),
      matrix(named("attn_k"), [hiddenWidth, kvWidth], weightSpread),
      matrix(named("attn_v"), [hiddenWidth, kvWidth], weightSpread),
      matrix(named("attn_output"), [hiddenWidth, hiddenWidth], Math.sqrt(blockGrowth) * weightSpread, keepsConstant),
      norm(named("ffn_norm")),
      matrix(named("ffn_gate"), [hiddenWidth, ffnWidth], weightSpread, { prefix: columns(gateBias) }),
      matrix(named("ffn_up"), [hiddenWidth, ffnWidth], weightSpread),
      matrix(
        named("ffn_down"),
        [ffnWidth, hiddenWidth],
        Math.sqrt(blockGrowth / (ffnWidth * activationEnergy)),
        keepsConstant
      )
    ]
  }
  return [
    matrix("token_embd.weight", [hiddenWidth, vocabularySize], 1, { prefix: columns(constant) }),
    ...Array.from({ length: blockCount }, (_, index) => block(index)).flat(),
    norm("output_norm.weight"),
    matrix("output.weight", [hiddenWidth, vocabularySize], logitSpread * weightSpread)
  ]
}

/** f32[poolSize], standard normal (Box and Muller). */
const normalPool = (seed: number): Float32Array => {
  const random = randomFromSeed(seed)
  const pool = new Float32Array(poolSize)
  for (let i = 0; i < poolSize; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random.nextUniform()))
    const angle = 2 * Math.PI * random.nextUniform()
    pool[i] = radius * Math.cos(angle)
    pool[i + 1] = radius * Math.sin(angle)
  }
  return pool
}

/** The value that a share of the numbers exceeds, and the mean square of relu(number − that value). */
const firing = (unit: Float32Array, activeShare: number) => {
  const ordered = unit.toSorted()
  const first = Math.min(Math.floor(ordered.length * (1 - activeShare)), ordered.length - 1)
  const threshold = ordered[first]!
  let energy = 0
  for (let i = first; i < ordered.length; i++) energy += (ordered[i]! - threshold) ** 2
  return { threshold, energy: energy / ordered.length }
}

interface PlantedRows {
  readonly width: number
  readonly rowCount: number
  /** Encoded blocks that rows are cut from. */
  readonly pool: Uint8Array
  /** Encoded blocks that every row begins with instead. */
  readonly prefix: Uint8Array | undefined
  readonly zeroRows: number
  readonly seed: number
}

/** A few hundred rows at a time, in a buffer that is used again. */
function* plantedRows(type: QuantizableTypeName, rows: PlantedRows): Iterable<Uint8Array> {
  const { width, rowCount, pool, prefix, zeroRows } = rows
  const { blockBytes } = tensorTypes[type]
  const bytes = rowBytes(type, width)
  const zeros = quantize(type, new Float32Array(width))
  const random = randomFromSeed(rows.seed)
  const starts = (pool.length - bytes) / blockBytes + 1
  const chunkRows = Math.max(1, Math.floor(2 ** 20 / bytes))
  const chunk = new Uint8Array(Math.min(chunkRows, rowCount) * bytes)
  for (let first = 0; first < rowCount; first += chunkRows) {
    const count = Math.min(chunkRows, rowCount - first)
    for (let row = 0; row < count; row++) {
      const start = Math.floor(random.nextUniform() * starts) * blockBytes
      chunk.set(first + row < zeroRows ? zeros : pool.subarray(start, start + bytes), row * bytes)
      if (prefix) chunk.set(prefix, row * bytes)
    }
    yield chunk.subarray(0, count * bytes)
  }
}

/** FNV-1a over the name: a tensor's rows do not depend on its place in the file. */
const seedOf = (name: string, seed: number): number => {
  let hash = seed
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193)
  return hash >>> 0
}
