// Which predictor goes beside the model into a PowerInfer file, and what must change so that it judges by what PowerInfer shows it?
//
// PowerInfer's predictors read the residual before its norm, ours the FFN's input after it. An RMS norm is x ⊙ w / rms(x), and 1 / rms(x) is
// positive: with the columns of fc1 multiplied by w, relu(fc1 · x) and so every score is the same but for that factor, and its sign is the same.
import * as Effect from "effect/Effect"
import { identityOf } from "../artifacts/artifact.ts"
import { attemptGguf } from "../gguf/gguf_error.ts"
import { readGguf } from "../gguf/open.ts"
import { quantize } from "../gguf/quantize.ts"
import { readTensor } from "../gguf/read_tensor.ts"
import type { Gguf, TensorInfo } from "../gguf/reader.ts"
import type { MetadataRow, TensorToWrite } from "../gguf/writer.ts"
import type { Model, StoredPredictor } from "../model/model.ts"
import { describeStoredPredictors } from "../model/open_model.ts"
import { ConversionImpossible } from "./conversion_error.ts"
import { copied } from "./model_tensors.ts"

/** `blk.N.fc1.weight` and `blk.N.fc2.weight`. */
export const isPredictorTensor = (name: string): boolean => /^blk\.\d+\.fc[12]\.weight$/.test(name)

/** The key of the score from which PowerInfer computes a neuron. */
export const thresholdKey = "powerinfer.sparse_threshold"

/** What only files of ours have (core/artifacts/predictor_weights.ts). */
const ownerKey = "powerinfer.predictor.name"
const fingerprintKey = "powerinfer.model.fingerprint"

/** A predictor's part of a PowerInfer file. */
export interface PredictorTensors {
  readonly blocks: ReadonlyArray<StoredPredictor | undefined>
  readonly tensors: ReadonlyArray<TensorToWrite>
  readonly rows: ReadonlyArray<MetadataRow>
  readonly notes: ReadonlyArray<string>
}

/**
 * Reads a file with fc1 and fc2: in PowerInfer's form, taken as it is, or predictor weights of ours, which the model's norms are folded into.
 *
 * - fails  with `ConversionImpossible` where there are none, they were trained for another model, or the model's norms cannot be folded (layer
 *          norms); with `InvalidModel` where their shapes are another model's
 */
export const readPredictorTensors = Effect.fnUntraced(function* (path: string, model: Model) {
  const gguf = yield* readGguf(path)
  const { predictors: blocks, sparseThreshold } = yield* describeStoredPredictors(gguf, model.shape)
  if (blocks === undefined) {
    return yield* new ConversionImpossible({
      path,
      reason: "it holds no blk.N.fc1.weight and blk.N.fc2.weight",
      remedy: "name a file with a predictor of two matrices a block"
    })
  }
  const isOurs = gguf.metadata.has(ownerKey)
  if (isOurs) yield* requireFoldable(path, gguf, model)
  const tensors = blocks.flatMap((found, block) =>
    found ? [isOurs ? folded(gguf, found.down, model, block) : copied(gguf, found.down), copied(gguf, found.up)] : []
  )
  const made: PredictorTensors = {
    blocks,
    tensors,
    rows: [[thresholdKey, "f32", isOurs ? 0 : sparseThreshold]],
    notes: isOurs ? notesOf(gguf) : []
  }
  return made
})

const requireFoldable = Effect.fnUntraced(function* (path: string, gguf: Gguf, model: Model) {
  const madeFor = yield* attemptGguf(() => gguf.metadata.string(fingerprintKey, ""))
  const { fingerprint } = yield* identityOf(model)
  if (madeFor !== fingerprint) {
    return yield* new ConversionImpossible({
      path,
      reason: "it was made for another model",
      remedy: "convert the model that it was trained for, or train it again"
    })
  }
  if (model.shape.norm.kind === "rms") return
  return yield* new ConversionImpossible({
    path,
    reason: `it reads the FFN's input after its norm, PowerInfer's before, and a layer norm (${model.shape.family}) cannot be folded into fc1`,
    remedy: "use a predictor in PowerInfer's form"
  })
})

/** fc1 with its columns multiplied by the weight of the norm: as precise as it was, or F16. */
const folded = (gguf: Gguf, down: TensorInfo, model: Model, block: number): TensorToWrite => {
  const type = down.type === "F32" ? "F32" : "F16"
  return {
    name: down.name,
    type,
    shape: down.shape,
    chunks: () => {
      const values = readTensor(gguf, down)
      const norm = readTensor(model.gguf, model.blocks[block]!.ffnNorm.weight)
      for (let i = 0; i < values.length; i++) values[i]! *= norm[i % norm.length]!
      return [quantize(type, values)]
    }
  }
}

/** A score that is scaled by a factor of its token's own has no threshold but 0. */
const notesOf = (gguf: Gguf): ReadonlyArray<string> => {
  const keys = Array.from(gguf.metadata.entries(), ([key]) => key).filter((key) => key.includes("threshold"))
  const tensors = [...gguf.tensors.keys()].filter((name) => !isPredictorTensor(name))
  const left = [...keys, ...tensors]
  return [
    "The norms are folded into fc1, so that it reads PowerInfer's input: scores keep their sign, not their size",
    ...(left.length === 0
      ? []
      : [
          `Not carried over: ${left.slice(0, 4).join(", ")}${left.length > 4 ? ", …" : ""}; PowerInfer's threshold is 0`
        ])
  ]
}
