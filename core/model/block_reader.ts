// Which tensors of a file make up one block?
import type { TensorInfo } from "../gguf/tensor_index.ts"
import { rowBytes } from "../gguf/tensor_type.ts"
import type { BlockTensors, Linear, ModelShape } from "./model.ts"
import type { ModelFile } from "./model_file.ts"

type Attention = Pick<BlockTensors, "q" | "k" | "v" | "attentionOutput">

/** Reads the tensors of one block by their names without the prefix `blk.N.`. Throws `InvalidModel`. */
export class BlockReader {
  readonly #file: ModelFile
  readonly #shape: ModelShape
  readonly #block: number

  constructor(file: ModelFile, shape: ModelShape, block: number) {
    this.#file = file
    this.#shape = shape
    this.#block = block
  }

  has(name: string): boolean {
    return this.#file.hasTensor(this.#name(name))
  }

  /** A norm of the hidden vector. */
  norm(name: string): Linear {
    return readNorm(this.#file, this.#shape, this.#name(name))
  }

  /** An RMS norm of every head. */
  headNorm(name: string): TensorInfo {
    return this.#file.tensor(this.#name(`${name}.weight`), [this.#shape.headWidth])
  }

  /** q, k, v and the projection back, each with a bias if the file has one. */
  attention(): Attention {
    const { hiddenWidth, headCount, kvHeadCount, headWidth } = this.#shape
    return {
      q: this.#linear("attn_q", hiddenWidth, headCount * headWidth),
      k: this.#linear("attn_k", hiddenWidth, kvHeadCount * headWidth),
      v: this.#linear("attn_v", hiddenWidth, kvHeadCount * headWidth),
      attentionOutput: this.#linear("attn_output", headCount * headWidth, hiddenWidth)
    }
  }

  /** The same where q, k and v are the rows of one tensor, in this order. */
  fusedAttention(): Attention {
    const { hiddenWidth, headCount, kvHeadCount, headWidth } = this.#shape
    const qRows = headCount * headWidth
    const kvRows = kvHeadCount * headWidth
    const fused = this.#matrix("attn_qkv.weight", hiddenWidth, qRows + 2 * kvRows)
    return {
      q: { weight: rowRange(fused, 0, qRows) },
      k: { weight: rowRange(fused, qRows, kvRows) },
      v: { weight: rowRange(fused, qRows + kvRows, kvRows) },
      attentionOutput: { weight: this.#matrix("attn_output.weight", qRows, hiddenWidth) }
    }
  }

  /** A gate or up projection without bias: row = neuron. */
  intoFfn(name: string): Linear {
    return { weight: this.#matrix(`${name}.weight`, this.#shape.hiddenWidth, this.#shape.ffnWidth) }
  }

  /** An up projection with a bias if the file has one. */
  intoFfnWithBias(name: string): Linear {
    return this.#linear(name, this.#shape.hiddenWidth, this.#shape.ffnWidth)
  }

  /** `name` as most files have it, or `ffn_down_t` with a row per neuron, as PowerInfer and sparse conversions write it. */
  down(name = "ffn_down"): BlockTensors["down"] {
    const { hiddenWidth, ffnWidth } = this.#shape
    const byNeuron = this.has("ffn_down_t.weight")
    return byNeuron
      ? { layout: "by_neuron", ...this.#linear("ffn_down_t", hiddenWidth, ffnWidth, hiddenWidth) }
      : { layout: "by_output", ...this.#linear(name, ffnWidth, hiddenWidth) }
  }

  #linear(name: string, width: number, rows: number, biasWidth = rows): Linear {
    const weight = this.#matrix(`${name}.weight`, width, rows)
    const bias = this.#file.optionalTensor(this.#name(`${name}.bias`), [biasWidth])
    return bias ? { weight, bias } : { weight }
  }

  #matrix(name: string, width: number, rows: number): TensorInfo {
    return this.#file.tensor(this.#name(name), [width, rows])
  }

  #name(name: string): string {
    return `blk.${this.#block}.${name}`
  }
}

/** The weight and, of a layer norm, the bias that a norm of the hidden vector has. */
export const readNorm = (file: ModelFile, shape: ModelShape, name: string): Linear => {
  const weight = file.tensor(`${name}.weight`, [shape.hiddenWidth])
  if (shape.norm.kind === "rms") return { weight }
  const bias = file.optionalTensor(`${name}.bias`, [shape.hiddenWidth])
  return bias ? { weight, bias } : { weight }
}

/** Some rows of a matrix, as a tensor of its own. Its offset need not be a multiple of the file's alignment. */
const rowRange = (matrix: TensorInfo, first: number, count: number): TensorInfo => {
  const width = matrix.shape[0]!
  const bytes = rowBytes(matrix.type, width)
  return {
    ...matrix,
    name: `${matrix.name}[${first}:${first + count}]`,
    shape: [width, count],
    offset: matrix.offset + first * bytes,
    sizeBytes: count * bytes
  }
}
