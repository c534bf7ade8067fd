// powerinfer convert: a model of one format as one of another.
import { Effect } from "effect"
import { isCheckpoint, planCheckpoint, planGguf, planPowerInfer, type QuantizableTypeName, readGguf } from "powerinfer"
import { InvalidUsage } from "../invalid_usage.ts"
import { writeModel } from "../write_model.ts"

export interface ConvertInput {
  readonly input: string
  readonly to: "gguf" | "powerinfer"
  readonly out: string
  readonly type: QuantizableTypeName | undefined
  readonly predictor: string | undefined
  readonly json: boolean
}

export const convert = Effect.fnUntraced(function* ({ input, to, out, type, predictor, json }: ConvertInput) {
  if (to === "gguf" && predictor !== undefined) {
    return yield* new InvalidUsage({ reason: "--predictor goes with --to powerinfer" })
  }
  if (isCheckpoint(input)) return yield* convertCheckpoint({ input, to, out, type, json })
  const gguf = yield* readGguf(input)
  const layout = { downType: type, predictor }
  yield* writeModel(out, yield* to === "gguf" ? planGguf(gguf, layout) : planPowerInfer(gguf, layout), json)
})

const convertCheckpoint = Effect.fnUntraced(function* ({
  input,
  to,
  out,
  type,
  json
}: Omit<ConvertInput, "predictor">) {
  if (to !== "gguf") {
    return yield* new InvalidUsage({ reason: `${input} becomes --to gguf first, and that file --to ${to}` })
  }
  if (type !== undefined && type !== "F16" && type !== "F32" && type !== "BF16") {
    return yield* new InvalidUsage({
      reason: `${input} becomes F16, F32 or BF16; powerinfer quantize makes ${type} of that`
    })
  }
  yield* writeModel(out, yield* planCheckpoint(input, { type }), json)
})
