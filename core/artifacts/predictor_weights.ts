// What did a predictor learn, and for which model? A GGUF file of its tensors that carries the model's hash.
import * as Effect from "effect/Effect"
import { attemptGguf } from "../gguf/gguf_error.ts"
import { readGguf } from "../gguf/open.ts"
import { readTensor, readTensorBytes } from "../gguf/read_tensor.ts"
import type { Gguf } from "../gguf/reader.ts"
import type { TensorInfo } from "../gguf/tensor_index.ts"
import { type MetadataRow, type TensorToWrite, writeGguf } from "../gguf/writer.ts"
import type { Model } from "../model/model.ts"
import { PredictorFailure, PredictorMismatch } from "../predictor.ts"
import { describeIdentity, identityOf } from "./artifact.ts"

/** What is common to the files of all predictors. */
interface WeightsOf {
  /** The plugin's name. */
  readonly predictor: string
  readonly path: string
  readonly model: Model
}

const keys = {
  predictor: "powerinfer.predictor.name",
  version: "powerinfer.predictor.version",
  model: "powerinfer.model.name",
  fingerprint: "powerinfer.model.fingerprint"
} as const

/** Raised when files of before can no longer be read. */
const formatVersion = 1

/** An opened file of predictor weights, made by this predictor for this model. */
export interface PredictorWeights {
  readonly gguf: Gguf
  /** f32[product of shape]; fails with `PredictorFailure` if it is missing or has another shape. `shape[0]` is the contiguous width. */
  readonly values: (
    name: string,
    shape: ReadonlyArray<number>
  ) => Effect.Effect<Float32Array<ArrayBuffer>, PredictorFailure>
  /** The tensor as it is stored, for native kernels; fails as `values` does. */
  readonly stored: (
    name: string,
    shape: ReadonlyArray<number>
  ) => Effect.Effect<{ readonly info: TensorInfo; readonly bytes: Uint8Array<ArrayBuffer> }, PredictorFailure>
}

/**
 * Writes a predictor's weights, under a temporary name first.
 *
 * - `metadata`  what else there is to say: ranks, targets, how it was trained
 * - fails       with `PredictorFailure`
 */
export const writePredictorWeights = (
  { predictor, path, model }: WeightsOf,
  content: { readonly metadata?: ReadonlyArray<MetadataRow>; readonly tensors: ReadonlyArray<TensorToWrite> }
): Effect.Effect<void, PredictorFailure> =>
  Effect.gen(function* () {
    const { name, fingerprint } = yield* identityOf(model)
    yield* writeGguf(path, {
      metadata: [
        ["general.architecture", "string", "powerinfer_predictor"],
        [keys.predictor, "string", predictor],
        [keys.version, "u32", formatVersion],
        [keys.model, "string", name],
        [keys.fingerprint, "string", fingerprint],
        ...(content.metadata ?? [])
      ],
      tensors: content.tensors
    })
  }).pipe(Effect.mapError(({ message }) => new PredictorFailure({ predictor, reason: message })))

/**
 * Opens a predictor's weights and checks whom they were made by and for.
 *
 * - fails  with `PredictorFailure` (missing, damaged, of another predictor), `PredictorMismatch` (made for another model)
 */
export const openPredictorWeights = Effect.fnUntraced(function* ({ predictor, path, model }: WeightsOf) {
  const failure = (reason: string) => new PredictorFailure({ predictor, reason })
  const train = `make it with: powerinfer train ${predictor}`
  const gguf = yield* readGguf(path).pipe(Effect.mapError(({ message }) => failure(`${message}; ${train}`)))
  const head = yield* attemptGguf(() => ({
    predictor: gguf.metadata.string(keys.predictor, ""),
    version: gguf.metadata.u32(keys.version, 0),
    name: gguf.metadata.string(keys.model, ""),
    fingerprint: gguf.metadata.string(keys.fingerprint, "")
  })).pipe(Effect.mapError(({ message }) => failure(message)))
  if (head.predictor !== predictor) {
    const whose = head.predictor === "" ? "no predictor's weights" : `of the predictor ${head.predictor}`
    return yield* failure(`${path} is ${whose}; ${train}`)
  }
  if (head.version !== formatVersion) {
    return yield* failure(`${path} has version ${head.version}, this program reads ${formatVersion}; ${train}`)
  }
  const actual = yield* identityOf(model).pipe(Effect.mapError(({ message }) => failure(message)))
  if (head.fingerprint !== actual.fingerprint) {
    const expected = `the model that ${path} was made for, ${describeIdentity(head)}, or ${train}`
    return yield* new PredictorMismatch({ predictor, expected, actual: `the hash of ${describeIdentity(actual)}` })
  }
  const find = (name: string, shape: ReadonlyArray<number>): Effect.Effect<TensorInfo, PredictorFailure> => {
    const info = gguf.tensors.get(name)
    if (info === undefined) return Effect.fail(failure(`${path} has no ${name}; ${train}`))
    const wanted = `[${shape.join(", ")}]`
    const found = `[${info.shape.join(", ")}]`
    return found === wanted
      ? Effect.succeed(info)
      : Effect.fail(failure(`${name} of ${path} is ${found}, it must be ${wanted}; ${train}`))
  }
  const reading = <A>(read: () => A) => attemptGguf(read).pipe(Effect.mapError(({ message }) => failure(message)))
  const weights: PredictorWeights = {
    gguf,
    values: (name, shape) => Effect.flatMap(find(name, shape), (info) => reading(() => readTensor(gguf, info))),
    stored: (name, shape) =>
      Effect.flatMap(find(name, shape), (info) => reading(() => ({ info, bytes: readTensorBytes(gguf, info) })))
  }
  return weights
})
