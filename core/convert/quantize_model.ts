// In which type is each tensor of a quantized model stored?
import * as Effect from "effect/Effect"
import { describeModel } from "../model/open_model.ts"
import type { ModelError } from "../model/model_error.ts"
import type { GgufError } from "../gguf/gguf_error.ts"
import type { QuantizableTypeName } from "../gguf/quantize.ts"
import type { Gguf, TensorInfo } from "../gguf/reader.ts"
import { ConversionImpossible } from "./conversion_error.ts"
import { changedMetadata, copied, fits, retyped, typeRows } from "./model_tensors.ts"
import { isPlain } from "./tensor_chunks.ts"
import type { Conversion } from "./write_conversion.ts"

export interface QuantizeOptions {
  /** Of every matrix that has no rule of its own. */
  readonly type: "F16" | "Q8_0" | "Q4_0" | "Q4_K"
  /** Of the token embedding; default Q8_0, where `type` is quantized. */
  readonly embeddingType?: QuantizableTypeName | undefined
  /** Of the output matrix, and of an embedding that is used as one; default as `embeddingType`. */
  readonly outputType?: QuantizableTypeName | undefined
  /** Quantized tensors are taken from one quantized type to another, with the errors of both. */
  readonly requantizes?: boolean | undefined
}

/**
 * Plans the quantized model.
 *
 * | tensor | type |
 * |---|---|
 * | vectors, norms, biases; learned positions; the router of experts | as they are |
 * | `token_embd`, `output` | `embeddingType`, `outputType` |
 * | every other matrix | `type`; where its rows are not whole blocks of it, Q8_0, else F16, with a note |
 *
 * - fails  with `ConversionImpossible` where a quantized tensor would be quantized again, or no value of a type fits; as `describeModel` does
 */
export const planQuantization = Effect.fnUntraced(function* (
  gguf: Gguf,
  options: QuantizeOptions
): Effect.fn.Return<Conversion, ConversionImpossible | ModelError | GgufError> {
  // A file that we could not run afterwards is not worth the wait.
  yield* describeModel(gguf)
  const notes: Array<string> = []
  const twice = options.requantizes ? [] : [...gguf.tensors.values()].filter((info) => isTwice(gguf, info, options))
  if (twice.length > 0) {
    return yield* new ConversionImpossible({
      path: gguf.files[0]!.path,
      reason: `${twice[0]!.name} and ${twice.length - 1} more are quantized already (${twice[0]!.type}), and would keep the errors of both`,
      remedy: "begin with the F16 model, or accept that with --allow-requantize"
    })
  }
  const tensors = [...gguf.tensors.values()].map((info) => {
    const type = typeOf(gguf, info, options)
    if (type === undefined) return copied(gguf, info)
    const fitting = fittingType(type, info.shape[0]!)
    if (fitting !== type) {
      notes.push(`${info.name} becomes ${fitting}: its rows of ${info.shape[0]} are not whole blocks of ${type}`)
    }
    return retyped(gguf, info, fitting)
  })
  return {
    gguf: { magic: gguf.magic, metadata: changedMetadata(gguf, { set: typeRows(options.type) }), tensors },
    notes
  }
})

/** What a tensor is to become; undefined where it stays what it is. */
const typeOf = (gguf: Gguf, info: TensorInfo, options: QuantizeOptions): QuantizableTypeName | undefined => {
  const rows = info.shape.slice(1).reduce((product, length) => product * length, 1)
  const stays = rows === 1 || /^(position_embd|rope_freqs)\.|_norm\.|\.bias$|\.ffn_gate_inp\./.test(info.name)
  if (stays || !info.name.endsWith(".weight")) return undefined
  const outer = isPlain(options.type) ? options.type : "Q8_0"
  const embeddingType = options.embeddingType ?? outer
  if (info.name === "output.weight") return options.outputType ?? embeddingType
  if (info.name !== "token_embd.weight") return options.type
  return gguf.tensors.has("output.weight") ? embeddingType : (options.outputType ?? embeddingType)
}

const isTwice = (gguf: Gguf, info: TensorInfo, options: QuantizeOptions): boolean => {
  const type = typeOf(gguf, info, options)
  return type !== undefined && !isPlain(info.type) && fittingType(type, info.shape[0]!) !== info.type
}

const fittingType = (type: QuantizableTypeName, width: number): QuantizableTypeName =>
  fits(type, width) ? type : fits("Q8_0", width) ? "Q8_0" : "F16"
