// How do a model's tensors come under the native library's eyes? Each is named by its part, and read where the file is mapped.
import * as Effect from "effect/Effect"
import { attemptGguf } from "../gguf/gguf_error.ts"
import { readTensor } from "../gguf/read_tensor.ts"
import type { TensorInfo } from "../gguf/tensor_index.ts"
import { tensorTypes } from "../gguf/tensor_type.ts"
import type { Model } from "../model/model.ts"
import { inverseFrequencies } from "../model/rope.ts"
import type { Powerinfer } from "./powerinfer.ts"
import { roleBindings } from "./roles.ts"

/** Whom to tell: a model of the native library, or a plugin's device. */
export interface BindCalls {
  readonly native: Pick<Powerinfer<{}>, "failed">
  readonly bind: (
    role: number,
    block: number,
    tensor: TensorInfo,
    ...range: readonly [offsetBytes: number, type: number, width: number, rows: number]
  ) => number
  readonly rope: (inverseFrequencies: Float32Array) => number
}

/** Binds every tensor and the rope's frequencies. Fails, in words, on the first that is refused or cannot be read. */
export const bindModel = Effect.fnUntraced(function* (
  model: Model,
  { native, bind, rope }: BindCalls
): Effect.fn.Return<void, string> {
  for (const { role, block, tensor } of roleBindings(model)) {
    const [width = 1, ...counts] = tensor.shape
    const rows = counts.reduce((product, count) => product * count, 1)
    const status = bind(role, block, tensor, tensor.offset, tensorTypes[tensor.type].id, width, rows)
    if (status < 0) return yield* Effect.fail(`${tensor.name}: ${native.failed("bind", status).reason}`)
  }
  if (model.shape.positions.kind !== "rope") return
  const { ropeFactors } = model
  const factors =
    ropeFactors &&
    (yield* Effect.mapError(
      attemptGguf(() => readTensor(model.gguf, ropeFactors)),
      ({ message }) => message
    ))
  const status = rope(inverseFrequencies(model.shape.positions, factors))
  if (status < 0) return yield* Effect.fail(native.failed("rope", status).reason)
})
