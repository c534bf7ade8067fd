// How does a test get a model of any family, type and shape in a few milliseconds?
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { quantize, type QuantizableTypeName } from "../gguf/quantize.ts"
import { tensorTypes } from "../gguf/tensor_type.ts"
import { type GgufToWrite, type MetadataRow, type TensorToWrite, writeGguf } from "../gguf/writer.ts"
import type { FileUnwritable } from "../whole_file.ts"
import type { Activation } from "../model/model.ts"
import { openModel } from "../model/open_model.ts"
import { randomFromSeed } from "../sampler/random.ts"
import { type TinyFamily, type TinyShape, type TinyTensor, tinyFamilies } from "./tiny_families.ts"
import { tinyVocabulary, tinyVocabularySize } from "./tiny_vocabulary.ts"

/** What tiny model to make. The same description gives the same bytes. */
export interface TinyModel {
  readonly family: TinyFamily
  /** Weights differ with it. */
  readonly seed: number
  /** Of every matrix; vectors are F32. Default F32. */
  readonly type?: QuantizableTypeName
  /** Written as `<family>.hidden_activation`; default: left out, so the family's own. */
  readonly activation?: Exclude<Activation, "identity">
  readonly magic?: "GGUF" | "PWRI"
  /** Stores `down` as `ffn_down_t`. */
  readonly downByNeuron?: boolean
  /** Leaves `output.weight` out. */
  readonly tied?: boolean
  readonly shape?: Partial<TinyShape>
  /** More metadata, or other values of keys the family has. */
  readonly metadata?: ReadonlyArray<MetadataRow>
}

/** Writes the model. Fails with `FileUnwritable`; dies if its rows are not whole blocks of the type. */
export const writeTinyModel = (path: string, model: TinyModel): Effect.Effect<void, FileUnwritable> =>
  writeGguf(path, tinyModel(model))

/** Writes the model to a temporary directory, which is removed with the scope, and describes it. */
export const openTinyModel = Effect.fnUntraced(function* (model: TinyModel) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "powerinfer-tiny-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const path = join(directory, `${model.family}.gguf`)
  yield* writeTinyModel(path, model)
  return yield* openModel(path)
})

/** The model as the writer takes it, for tests that change something before it is written. */
export const tinyModel = (model: TinyModel): GgufToWrite => {
  const { family, seed, type = "F32", activation } = model
  const shape = tinyShape(model)
  const describe = tinyFamilies[family]
  const metadata = new Map<string, MetadataRow>()
  const rows: ReadonlyArray<MetadataRow> = [
    ["general.architecture", "string", family],
    ["general.name", "string", `tiny-${family}-${seed}`],
    ...describe.metadata(shape),
    ...(activation ? [[`${family}.hidden_activation`, "string", activation] as const] : []),
    ...tinyVocabulary(shape.vocabularySize),
    ...(model.metadata ?? [])
  ]
  for (const row of rows) metadata.set(row[0], row)

  const tensors = describe.tensors(shape).filter(({ name }) => !(model.tied && name === "output.weight"))
  return {
    magic: model.magic ?? "GGUF",
    metadata: [...metadata.values()],
    tensors: tensors.map((tensor) => randomTensor(model.downByNeuron ? byNeuron(tensor) : tensor, type, seed))
  }
}

/** The shape a description asks for, defaults filled in: rows are whole blocks of its type. */
export const tinyShape = ({ type = "F32", shape = {} }: Pick<TinyModel, "type" | "shape">): TinyShape => {
  const large = tensorTypes[type].blockSize === 256
  const hiddenWidth = shape.hiddenWidth ?? (large ? 256 : 64)
  const headCount = shape.headCount ?? 4
  return {
    blockCount: 2,
    ffnWidth: large ? 512 : 96,
    kvHeadCount: Math.max(1, headCount / 2),
    vocabularySize: tinyVocabularySize,
    contextLength: 128,
    headWidth: hiddenWidth / headCount,
    ...shape,
    hiddenWidth,
    headCount
  }
}

const byNeuron = (tensor: TinyTensor): TinyTensor => {
  const name = tensor.name.replace(/ffn_down(_exps)?\./, "ffn_down_t.")
  if (name === tensor.name || tensor.kind !== "matrix") return { ...tensor, name }
  const [ffnWidth, hiddenWidth] = tensor.shape
  return { ...tensor, name, shape: [hiddenWidth!, ffnWidth!] }
}

const randomTensor = (tensor: TinyTensor, type: QuantizableTypeName, seed: number): TensorToWrite => {
  const stored = tensor.kind === "matrix" ? type : "F32"
  return {
    name: tensor.name,
    type: stored,
    shape: tensor.shape,
    chunks: () => [quantize(stored, randomValues(tensor, seed))]
  }
}

/** Depends on the tensor's name, not on its place in the file. */
const randomValues = ({ name, shape, kind }: TinyTensor, seed: number): Float32Array => {
  let hash = seed
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193)
  const random = randomFromSeed(hash >>> 0)
  // The sum of three uniform numbers: bell-shaped enough, variance 1.
  const bell = () => 2 * (random.nextUniform() + random.nextUniform() + random.nextUniform()) - 3
  const length = shape.reduce((product, size) => product * size, 1)
  const [middle, spread] = { matrix: [0, 1 / Math.sqrt(shape[0]!)], norm: [1, 0.1], bias: [0, 0.1] }[kind]
  return Float32Array.from({ length }, () => middle! + spread! * bell())
}
