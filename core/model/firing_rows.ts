// Which weights decide whether a neuron fires, and by how much do they have to agree with the input?
import * as Effect from "effect/Effect"
import { attemptGguf } from "../gguf/gguf_error.ts"
import { readTensor } from "../gguf/read_tensor.ts"
import { PredictorFailure, PredictorMismatch } from "../predictor.ts"
import { type Model, modelActivation } from "./model.ts"

/** A neuron of a sparse block fires where `weights[neuron] · x + bias[neuron]` is above zero: the gate's rows, of an ungated FFN up's. */
export interface FiringRows {
  /** f32[ffn_width, hidden_width] */
  readonly weights: Float32Array<ArrayBuffer>
  /** f32[ffn_width]; absent: zeros. */
  readonly bias?: Float32Array
  /** About how long x is: a norm makes every x of a block equally long but for its own weights. */
  readonly inputLength: number
}

/** Fails with `PredictorMismatch` where no activation is zero: the sign of a product then says nothing about who fires. */
export const requireZeros = (predictor: string, { sparse, shape }: Model): Effect.Effect<void, PredictorMismatch> =>
  sparse
    ? Effect.void
    : Effect.fail(
        new PredictorMismatch({
          predictor,
          expected: "one that makes zeros (relu, relu_squared)",
          actual: `the activation ${modelActivation(shape)}`
        })
      )

/**
 * Reads what decides whether the neurons of a block fire: for predictors that are made of the model's own weights.
 *
 * - cost   4 bytes a weight while it is kept
 * - fails  with `PredictorFailure` if the model's files have gone or changed
 */
export const readFiringRows = (
  predictor: string,
  model: Model,
  block: number
): Effect.Effect<FiringRows, PredictorFailure> =>
  attemptGguf(() => {
    const { gate, up, ffnNorm } = model.blocks[block]!
    const { weight, bias } = gate ?? up
    let squares = 0
    for (const tensor of [ffnNorm.weight, ffnNorm.bias]) {
      if (tensor === undefined) continue
      for (const value of readTensor(model.gguf, tensor)) squares += value * value
    }
    return {
      weights: readTensor(model.gguf, weight),
      ...(bias && { bias: readTensor(model.gguf, bias) }),
      inputLength: Math.sqrt(squares)
    }
  }).pipe(Effect.mapError(({ message }) => new PredictorFailure({ predictor, reason: message })))
