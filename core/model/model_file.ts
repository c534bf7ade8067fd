// How does the code that describes a model ask its file for numbers and tensors?
import { InvalidMetadata } from "../gguf/gguf_error.ts"
import type { Gguf } from "../gguf/reader.ts"
import type { TensorInfo } from "../gguf/tensor_index.ts"
import { InvalidModel, UnsupportedFeature } from "./model_error.ts"

/**
 * A GGUF file seen by the family it belongs to: keys without their prefix, tensors with the shape they must have.
 *
 * Throws `ModelError`s and `GgufError`s, so that a family reads like a list of names; `describeModel` makes typed
 * failures of them.
 */
export class ModelFile {
  readonly gguf: Gguf
  readonly architecture: string
  readonly path: string
  readonly #read = new Set<string>()

  constructor(gguf: Gguf, architecture: string) {
    this.gguf = gguf
    this.architecture = architecture
    this.path = gguf.files[0]!.path
  }

  key(name: string): string {
    return `${this.architecture}.${name}`
  }

  has(name: string): boolean {
    return this.gguf.metadata.has(this.key(name))
  }

  /** An integer above 0. */
  positive(name: string, fallback?: number): number {
    const value = this.gguf.metadata.u32(this.key(name), fallback)
    if (value === 0) throw this.invalid(name, "at least 1", "0")
    return value
  }

  number(name: string, fallback?: number): number {
    return this.gguf.metadata.f32(this.key(name), fallback)
  }

  text(name: string, fallback?: string): string {
    return this.gguf.metadata.string(this.key(name), fallback)
  }

  invalid(name: string, expected: string, actual: string): InvalidMetadata {
    return this.invalidKey(this.key(name), expected, actual)
  }

  /** The same for a key that is not the family's. */
  invalidKey(key: string, expected: string, actual: string): InvalidMetadata {
    return new InvalidMetadata({ path: this.path, key, expected, actual })
  }

  unsupported(feature: string): UnsupportedFeature {
    return new UnsupportedFeature({ path: this.path, feature })
  }

  hasTensor(name: string): boolean {
    return this.gguf.tensors.has(name)
  }

  /** A tensor of exactly this shape. Trailing dimensions of 1 are dropped: some writers keep them, some do not. */
  tensor(name: string, shape: ReadonlyArray<number>): TensorInfo {
    const found = this.tensorOfWidth(name, shape[0]!, describe(shape))
    if (describe(found.shape) !== describe(shape)) throw this.#wrongShape(found, describe(shape))
    return found
  }

  /** A matrix of this width and any number of rows: for tables whose length the file decides. */
  tensorOfWidth(name: string, width: number, expected = `[${width}, rows]`): TensorInfo {
    const found = this.gguf.tensors.get(name)
    if (found === undefined) {
      throw new InvalidModel({ path: this.path, tensor: name, expected, actual: "missing" })
    }
    if (found.shape[0] !== width) throw this.#wrongShape(found, expected)
    this.#read.add(name)
    return { ...found, shape: withoutTrailingOnes(found.shape) }
  }

  optionalTensor(name: string, shape: ReadonlyArray<number>): TensorInfo | undefined {
    return this.hasTensor(name) ? this.tensor(name, shape) : undefined
  }

  /** Says that a tensor is rightly left out of the computation. */
  leaveOut(name: string): void {
    this.#read.add(name)
  }

  /**
   * Refuses a file with tensors that nobody asked for: to leave them out of the computation would give a plausible model
   * with wrong numbers.
   */
  checkEveryTensorIsUsed(): void {
    for (const name of this.gguf.tensors.keys()) {
      if (this.#read.has(name)) continue
      throw this.unsupported(`the tensor ${name}, unknown in the family ${this.architecture}`)
    }
  }

  #wrongShape(found: TensorInfo, expected: string): InvalidModel {
    return new InvalidModel({ path: this.path, tensor: found.name, expected, actual: describe(found.shape) })
  }
}

const withoutTrailingOnes = (shape: ReadonlyArray<number>): ReadonlyArray<number> => {
  let length = shape.length
  while (length > 1 && shape[length - 1] === 1) length--
  return shape.slice(0, length)
}

const describe = (shape: ReadonlyArray<number>): string => `[${withoutTrailingOnes(shape).join(", ")}]`
