// powerinfer quantize: a model's matrices in a smaller type.
import * as Effect from "effect/Effect"
import { planQuantization, type QuantizeOptions, readGguf } from "powerinfer"
import { writeModel } from "../write_model.ts"

export interface QuantizeInput extends QuantizeOptions {
  readonly model: string
  readonly out: string
  readonly json: boolean
}

export const quantize = Effect.fnUntraced(function* (input: QuantizeInput) {
  const gguf = yield* readGguf(input.model)
  yield* writeModel(input.out, yield* planQuantization(gguf, input), input.json)
})
