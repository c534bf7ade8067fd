// How does a model become a file that PowerInfer reads, and the other way around?
import * as Effect from "effect/Effect"
import type { GgufError } from "../gguf/gguf_error.ts"
import type { QuantizableTypeName } from "../gguf/quantize.ts"
import type { Gguf, TensorInfo } from "../gguf/reader.ts"
import type { MetadataRow, TensorToWrite } from "../gguf/writer.ts"
import type { ModelError } from "../model/model_error.ts"
import { type Model, modelActivation } from "../model/model.ts"
import { describeModel } from "../model/open_model.ts"
import { ConversionImpossible } from "./conversion_error.ts"
import { changedMetadata, copied, fits, transposed } from "./model_tensors.ts"
import { isPredictorTensor, readPredictorTensors, thresholdKey } from "./predictor_tensors.ts"
import { isPlain } from "./tensor_chunks.ts"
import type { Conversion } from "./write_conversion.ts"

/** The families that PowerInfer has. */
const powerInferFamilies: ReadonlyArray<string> = ["llama", "bamboo", "falcon", "opt"]
/** The types that it computes with; in others it gives NaN or zeros, and says nothing. */
const powerInferTypes: ReadonlyArray<string> = ["F32", "F16", "Q4_0"]

/** Of a file in which `down` was encoded anew: from which type to which. */
const requantizedKey = "powerinfer.down_requantized"

/** The same for both directions. */
interface LayoutOptions {
  /** Into which type `down` is encoded anew. Needed where it is quantized: its blocks do not survive a transposition. */
  readonly downType?: QuantizableTypeName | undefined
}

/**
 * Plans a PowerInfer file: magic PWRI, `ffn_down_t` instead of `ffn_down`, predictors beside the model.
 *
 * - `predictor`  a file with `blk.N.fc1.weight` and `blk.N.fc2.weight`, which replace those of the model (`readPredictorTensors`)
 * - fails        with `ConversionImpossible` where PowerInfer lacks the family or would compute another activation, or `down` is quantized and
 *                no `downType` says what to do; with `InvalidModel` where the predictor is another model's
 */
export const planPowerInfer = Effect.fnUntraced(function* (
  gguf: Gguf,
  options: LayoutOptions & { readonly predictor?: string | undefined }
): Effect.fn.Return<Conversion, ConversionImpossible | ModelError | GgufError> {
  const model = yield* describeModel(gguf)
  const { path } = gguf.files[0]!
  const { family } = model.shape
  if (!powerInferFamilies.includes(family)) {
    return yield* new ConversionImpossible({
      path,
      reason: `PowerInfer has no family ${family}`,
      remedy: `choose a model of ${powerInferFamilies.join(", ")}`
    })
  }
  const activation = modelActivation(model.shape)
  if (activation !== "relu") {
    return yield* new ConversionImpossible({
      path,
      reason: `its FFN applies ${activation}, and PowerInfer's files are a promise of relu`,
      remedy: "choose a relufied model"
    })
  }
  const predictor = options.predictor === undefined ? undefined : yield* readPredictorTensors(options.predictor, model)
  const down = yield* transposedDown(model, "by_neuron", options.downType)
  const kept = [...gguf.tensors.values()].filter(({ name }) => !predictor || !isPredictorTensor(name))
  const tensors = [...kept.map((info) => down.of(info) ?? copied(gguf, info)), ...(predictor?.tensors ?? [])]

  const notes = [...down.notes, ...(predictor?.notes ?? [])]
  const foreign = new Set(tensors.map(({ type }) => type).filter((type) => !powerInferTypes.includes(type)))
  if (foreign.size > 0) {
    notes.push(
      `PowerInfer itself computes with ${powerInferTypes.join(", ")} only; this file has ${[...foreign].join(", ")}`
    )
  }
  if (!predictor && !model.predictors)
    notes.push("The file has no predictors: PowerInfer itself needs them (--predictor)")
  const missing = (predictor?.blocks ?? model.predictors ?? []).flatMap((found, block) => (found ? [] : [block]))
  if (missing.length > 0) notes.push(`Blocks without a predictor: ${missing.join(", ")}`)
  return {
    gguf: {
      magic: "PWRI",
      metadata: changedMetadata(gguf, { set: [...down.rows, ...(predictor?.rows ?? [])] }),
      tensors
    },
    notes
  }
})

/**
 * Plans a GGUF file of the usual layout: `ffn_down`, the activation as a key, no predictors.
 *
 * - fails  with `ConversionImpossible` where `down` is quantized and no `downType` says what to do; as `describeModel` does
 */
export const planGguf = Effect.fnUntraced(function* (
  gguf: Gguf,
  options: LayoutOptions
): Effect.fn.Return<Conversion, ConversionImpossible | ModelError | GgufError> {
  const model = yield* describeModel(gguf)
  const down = yield* transposedDown(model, "by_output", options.downType)
  const infos = [...gguf.tensors.values()].filter(({ name }) => !isPredictorTensor(name))
  const activation = `${model.shape.family}.hidden_activation`
  return {
    gguf: {
      metadata: changedMetadata(gguf, {
        set: [[activation, "string", modelActivation(model.shape)], ...down.rows],
        drop: (key) => key === thresholdKey
      }),
      tensors: infos.map((info) => down.of(info) ?? copied(gguf, info))
    },
    notes: [
      ...down.notes,
      ...(model.predictors ? ["The predictors are left out: only PowerInfer's layout has them"] : [])
    ]
  }
})

/** Every `down` that does not have the wanted layout yet, as a tensor that has. */
const transposedDown = Effect.fnUntraced(function* (
  model: Model,
  layout: "by_neuron" | "by_output",
  downType: QuantizableTypeName | undefined
) {
  const { gguf } = model
  const { path } = gguf.files[0]!
  const tensors = new Map<string, TensorToWrite>()
  const encodings = new Set<string>()
  const usualDown = model.shape.family === "smallthinker" ? "ffn_down_exps" : "ffn_down"
  for (const { down } of model.blocks) {
    if (down.layout === layout) continue
    const { name, type, shape } = down.weight
    const stored = downType ?? type
    if (downType === undefined && !isPlain(type)) {
      return yield* new ConversionImpossible({
        path,
        reason: `${name} is ${type}, whose blocks run along its rows: transposed it must be encoded anew, with an error of its own`,
        remedy:
          "convert the F16 model instead, or say into which type with --type (F16 keeps every value, at twice or more of the size)"
      })
    }
    const width = shape[1] ?? 1
    if (!fits(stored as QuantizableTypeName, width)) {
      return yield* new ConversionImpossible({
        path,
        reason: `transposed, ${name} has rows of ${width}, not whole blocks of ${stored}`,
        remedy: "choose the type F16"
      })
    }
    const changed =
      layout === "by_neuron" ? name.replace("ffn_down.", "ffn_down_t.") : name.replace("ffn_down_t.", `${usualDown}.`)
    const turned = transposed(gguf, down.weight, changed, stored as QuantizableTypeName)
    // Of an expert's tensor the third dimension counts experts: one.
    tensors.set(name, changed.includes("_exps") ? { ...turned, shape: [...turned.shape, 1] } : turned)
    if (down.bias) tensors.set(down.bias.name, copied(gguf, down.bias, changed.replace(".weight", ".bias")))
    if (stored !== type) encodings.add(`${type} → ${stored}`)
  }
  const label = [...encodings].join(", ")
  return {
    of: (info: TensorInfo) => tensors.get(info.name),
    notes: label === "" ? [] : [`down was encoded anew: ${label}; its values differ slightly from the input's`],
    rows: label === "" ? [] : [[requantizedKey, "string", label] satisfies MetadataRow]
  }
})
