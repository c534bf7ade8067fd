// Which weights make a model of any size whose neurons fire as planned?
//
// The first channels of the hidden vector that an FFN sees are constant. With RMS norms they are constant in the residual stream: every embedding
// holds the same value there, and no block writes to them. With layer norms, which have biases, the norm sets them. A gate row's first weights (of
// an ungated FFN, an up row's) are therefore a bias, a threshold for each neuron; the rest of it (planted_gate.ts) gives the neuron's input a normal
// distribution around that bias. Blocks add so little to the residual stream that its spread stays as planned to the last one.
import { type TensorToWrite } from "@powerinfer/core"
import { tinyFamilies } from "@powerinfer/core/testing"
import { type Activity, firingShares } from "./planted_activity.ts"
import { gateRows, type GateVariation, shuffle } from "./planted_gate.ts"
import { encodedRows, fillNormal, NormalPool, randomOf, stretches } from "./planted_rows.ts"
import type { PlantedShape } from "./planted_shapes.ts"
import { matrixType, type PlantedType } from "./planted_types.ts"

/** All there is to know about a planted model. The same description gives the same bytes. */
export interface PlantedModel {
  readonly shape: PlantedShape
  readonly type: PlantedType
  readonly activity: Activity
  readonly variation: GateVariation
  readonly seed: number
}

/** Channels of a hidden vector that hold a constant. */
export const constantWidth = 32
/** The residual stream's variance grows by this from the first block to the last. */
const growth = 0.1
/** The constant channels hold this share of the hidden vector's energy, relative to the other channels. */
const constantEnergy = 0.25
/** Standard deviation of the logits: far from uniform, far from certain. */
const logitSpread = 3

/** OPT's output is its embedding, its positions are learned. */
export const isTied = (shape: PlantedShape): boolean => shape.family === "opt"

/** The tensors in the file's order. */
export const plantedTensors = (model: PlantedModel): ReadonlyArray<TensorToWrite> => {
  const { shape } = model
  const weights = new PlantedWeights(model)
  return tinyFamilies[shape.family]
    .tensors(shape)
    .filter(({ name }) => !(isTied(shape) && name === "output.weight"))
    .map(({ name, shape: sizes, kind }) =>
      kind === "matrix" ? weights.matrix(name, sizes) : weights.vector(name, sizes[0]!)
    )
}

class PlantedWeights {
  readonly #model: PlantedModel
  readonly #pool: NormalPool
  readonly #rms: boolean
  /** The value of the constant channels, where the other channels have standard deviation 1. */
  readonly #constant: number
  /** f32[ffn_width], hottest neuron first: what the neuron's input, of standard deviation 1, must exceed. */
  readonly #thresholds: Float32Array
  /** The mean square of an activation. */
  readonly #activationEnergy: number

  constructor(model: PlantedModel) {
    const { shape, activity, seed } = model
    this.#model = model
    this.#pool = new NormalPool(seed)
    this.#rms = shape.family === "llama" || shape.family === "smallthinker"
    this.#constant = Math.sqrt((constantEnergy * shape.hiddenWidth) / constantWidth)
    const shares = firingShares(shape.ffnWidth, activity)
    this.#thresholds = Float32Array.from(shares, (share) => this.#pool.exceededBy(share))
    const energy = shares.reduce((total, share, rank) => total + energyAbove(this.#thresholds[rank]!, share), 0)
    // An RMS norm scales all channels to a mean square of 1, the constant ones among them.
    this.#activationEnergy = energy / shape.ffnWidth / (this.#rms ? 1 + constantEnergy : 1)
  }

  matrix(name: string, sizes: ReadonlyArray<number>): TensorToWrite {
    const { shape, type, seed } = this.#model
    const [width, rowCount] = sizes as readonly [number, number]
    const stored = matrixType(type, name, shape.blockCount, isTied(shape))
    const random = () => randomOf(name, seed)
    const chunks = (): Iterable<Uint8Array> => {
      const [, block, role] = /^(?:blk\.(\d+)\.)?(.*)\.weight$/.exec(name) ?? []
      if (role === "token_embd" || role === "position_embd" || role === "output") {
        return encodedRows(stored, width, rowCount, this.#tableRow(role, random()))
      }
      if (role === this.#decidingMatrix)
        return encodedRows(stored, width, rowCount, this.#gateRow(Number(block), random()))
      const rows = { type: stored, width, rowCount, random: random() }
      if (role !== "attn_output" && role !== "ffn_down" && role !== "ffn_down_exps") {
        return stretches(this.#pool, { ...rows, spread: 1 / Math.sqrt(width) })
      }
      const inputEnergy = role === "attn_output" ? 1 : this.#activationEnergy
      const spread = Math.sqrt(this.#halfBlockGrowth / (width * inputEnergy))
      return stretches(this.#pool, { ...rows, spread, zeroRows: this.#rms ? constantWidth : 0 })
    }
    return { name, type: stored, shape: sizes, chunks }
  }

  /** Norm weights are 1 and biases 0, but for the norms that make channels constant and for the output of a tied embedding. */
  vector(name: string, width: number): TensorToWrite {
    const [, norm, part] = /^(?:blk\.\d+\.)?(.*)\.(weight|bias)$/.exec(name) ?? []
    const values = new Float32Array(width).fill(part === "weight" ? 1 : 0)
    if (!this.#rms && norm === this.#ffnNorm) values.fill(part === "weight" ? 0 : this.#constant, 0, constantWidth)
    if (isTied(this.#model.shape) && name === "output_norm.weight") {
      // Alternating signs: otherwise a token's own embedding, of which its hidden vector is made, would always be its best continuation.
      const scale = logitSpread / Math.sqrt(width)
      for (let i = 0; i < width; i++) values[i] = i % 2 === 0 ? scale : -scale
    }
    return { name, type: "F32", shape: [width], chunks: () => [new Uint8Array(values.buffer)] }
  }

  /** Rows of the embeddings, alike in their constant channels, or of the output. */
  #tableRow(role: "token_embd" | "position_embd" | "output", random: ReturnType<typeof randomOf>) {
    const spread = role === "output" ? logitSpread / Math.sqrt(this.#model.shape.hiddenWidth) : 1
    const constant = role === "token_embd" && this.#rms
    return (row: Float32Array): void => {
      fillNormal(row, this.#pool, spread, random)
      if (constant) row.fill(this.#constant, 0, constantWidth)
    }
  }

  #gateRow(block: number, random: ReturnType<typeof randomOf>) {
    const { shape, variation } = this.#model
    const { hiddenWidth, ffnWidth } = shape
    const spread = 1 / Math.sqrt(hiddenWidth)
    // Standard deviation of the varying channels in this block, relative to the constant ones. A layer norm makes it 1.
    const variance = this.#rms ? 1 + this.#halfBlockGrowth * (2 * block + 1) : 1
    const inputSpread = spread * Math.sqrt((hiddenWidth - constantWidth) * variance)
    const ranks = Uint32Array.from({ length: ffnWidth }, (_, rank) => rank)
    shuffle(ranks, random)
    const biases = Float32Array.from(
      ranks,
      (rank) => (-this.#thresholds[rank]! * inputSpread) / (constantWidth * this.#constant)
    )
    return gateRows(this.#pool, { ...variation, constantWidth, width: hiddenWidth, spread, biases }, random)
  }

  /** Attention and FFN of a block each add this to the residual stream's variance. */
  get #halfBlockGrowth(): number {
    return growth / (2 * this.#model.shape.blockCount)
  }

  /** The matrix whose sign decides whether a neuron fires. */
  get #decidingMatrix(): string {
    return { llama: "ffn_gate", smallthinker: "ffn_gate_exps", opt: "ffn_up", falcon: "ffn_up" }[
      this.#model.shape.family
    ]
  }

  /** The norm before the FFN; falcon has one for attention and FFN. */
  get #ffnNorm(): string {
    return this.#model.shape.family === "falcon" ? "attn_norm" : "ffn_norm"
  }
}

/** The mean square of relu(z − threshold) for a standard normal z that exceeds the threshold this often. */
const energyAbove = (threshold: number, share: number): number => {
  const density = Math.exp(-(threshold ** 2) / 2) / Math.sqrt(2 * Math.PI)
  return (1 + threshold ** 2) * share - threshold * density
}
