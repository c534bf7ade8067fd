// Which tensors does a checkpoint hold, in one file or many, and does a model's list of wanted ones account for all of them?
import { existsSync } from "node:fs"
import { basename, join } from "node:path"
import type { QuantizableTypeName } from "../../gguf/quantize.ts"
import type { TensorToWrite } from "../../gguf/writer.ts"
import { ConversionImpossible, ForeignFileInvalid } from "../conversion_error.ts"
import { type HeadOrder, headChunks, isPlain, rowChunks, type StoredMatrix, typedChunks } from "../tensor_chunks.ts"
import { readJsonFile } from "./json_file.ts"
import { type CheckpointTensor, readSafetensors } from "./safetensors.ts"
import type { TensorTypeName } from "../../gguf/tensor_type.ts"

/** A tensor of the model that is to be made, and what it is made of. */
export interface WantedTensor {
  readonly to: string
  /** Its name in the checkpoint. */
  readonly from: string
  /** As GGUF has it: `shape[0]` is the width of a row. A vector has one dimension. */
  readonly shape: ReadonlyArray<number>
  /** Left out where the checkpoint has none. */
  readonly optional?: boolean
  readonly heads?: HeadOrder
}

/** The tensors of a directory by their names, and which of them have been asked for. */
export class Checkpoint {
  readonly directory: string
  readonly #tensors: ReadonlyMap<string, CheckpointTensor>
  readonly #used = new Set<string>()

  /** Throws `ForeignFileInvalid`, and what `withFile` does. */
  constructor(directory: string) {
    this.directory = directory
    this.#tensors = readTensors(directory)
  }

  has(name: string): boolean {
    return this.#tensors.has(name)
  }

  /** The first of these prefixes under which the checkpoint has `name`; the first of all where it has none. */
  prefixOf(name: string, prefixes: ReadonlyArray<string>): string {
    return prefixes.find((prefix) => this.has(`${prefix}${name}`)) ?? prefixes[0]!
  }

  /** Says that a tensor is rightly left out of the model. */
  leaveOut(name: string): void {
    this.#used.add(name)
  }

  /**
   * The tensor as it is written: vectors F32, matrices in `type`; undefined where it is optional and not there.
   *
   * Throws `ForeignFileInvalid` if it is missing, has another shape or holds no floats.
   */
  take(wanted: WantedTensor, type: QuantizableTypeName): TensorToWrite | undefined {
    const found = this.#tensors.get(wanted.from)
    const expected = wanted.shape.toReversed().join(" × ")
    if (found === undefined) {
      if (wanted.optional) return undefined
      throw new ForeignFileInvalid({
        path: this.directory,
        reason: `it has no tensor ${wanted.from} (${expected}), which becomes ${wanted.to}`
      })
    }
    const actual = found.shape.join(" × ")
    if (actual !== expected) {
      const reason = `${found.name} is ${actual}, by config.json it must be ${expected}`
      throw new ForeignFileInvalid({ path: found.path, reason })
    }
    if (!isPlain(found.dtype as TensorTypeName)) {
      throw new ConversionImpossible({
        path: found.path,
        reason: `${found.name} is stored as ${found.dtype}`,
        remedy: "use a checkpoint in F32, F16 or BF16"
      })
    }
    this.#used.add(found.name)
    return written(wanted, found, type)
  }

  /** Throws `ConversionImpossible` at a tensor that nobody took or left out: the model would compute something else without it. */
  checkEveryTensorIsUsed(): void {
    for (const { name, path } of this.#tensors.values()) {
      if (this.#used.has(name) || recomputed.test(name)) continue
      throw new ConversionImpossible({
        path,
        reason: `its tensor ${name} has no place in this family of models`,
        remedy: "use the model without what it adds (adapters, heads, biases)"
      })
    }
  }
}

/** Buffers that older versions of transformers saved: masks and frequencies, which follow from the shape. */
const recomputed = /\.(rotary_emb\.inv_freq|masked_bias|attn\.bias|attention\.bias)$/

const written = (wanted: WantedTensor, found: CheckpointTensor, type: QuantizableTypeName): TensorToWrite => {
  const vector = wanted.shape.length === 1
  const matrix: StoredMatrix = {
    name: found.name,
    path: found.path,
    offset: found.offset,
    type: found.dtype as "F32" | "F16" | "BF16",
    // Heads are rows of a bias, too.
    width: vector ? 1 : wanted.shape[0]!,
    rowCount: wanted.shape.at(-1)!
  }
  const stored = vector ? "F32" : type
  return {
    name: wanted.to,
    type: stored,
    shape: wanted.shape,
    chunks: () => typedChunks(matrix, stored, wanted.heads ? headChunks(matrix, wanted.heads) : rowChunks(matrix))
  }
}

const indexName = "model.safetensors.index.json"
const wholeName = "model.safetensors"

const readTensors = (directory: string): ReadonlyMap<string, CheckpointTensor> => {
  const tensors = new Map<string, CheckpointTensor>()
  const index = join(directory, indexName)
  if (!existsSync(index)) {
    const whole = join(directory, wholeName)
    if (!existsSync(whole)) {
      const reason = `it has neither ${wholeName} nor ${indexName}`
      throw new ForeignFileInvalid({ path: directory, reason })
    }
    for (const tensor of readSafetensors(whole)) tensors.set(tensor.name, tensor)
    return tensors
  }
  const file = readJsonFile(index)
  const parts = new Set<string>()
  for (const [name, part] of file.object("weight_map").entries()) {
    // A part lies beside the index, wherever a name says that it does.
    if (typeof part !== "string" || basename(part) !== part || !part.endsWith(".safetensors")) {
      throw file.invalid(`weight_map puts ${name} into ${JSON.stringify(part)}, which names no file beside it`)
    }
    parts.add(part)
  }
  for (const part of parts) {
    for (const tensor of readSafetensors(join(directory, part))) {
      const other = tensors.get(tensor.name)
      if (other) throw file.invalid(`${tensor.name} lies in two parts, ${basename(other.path)} and ${part}`)
      tensors.set(tensor.name, tensor)
    }
  }
  for (const [name, part] of file.object("weight_map").entries()) {
    if (!tensors.has(name)) throw file.invalid(`${name} is not in ${String(part)}, where weight_map puts it`)
  }
  return tensors
}
