// What is common to the families of Hugging Face checkpoints that can be converted?
import type { MetadataRow } from "../../gguf/writer.ts"
import type { Activation } from "../../model/model.ts"
import { ConversionImpossible } from "../conversion_error.ts"
import type { Checkpoint, WantedTensor } from "./checkpoint.ts"
import type { JsonFile } from "./json_file.ts"

/** What a checkpoint's config.json says about its model, in our terms. */
export interface CheckpointModel {
  readonly family: "llama" | "bamboo" | "falcon" | "opt"
  /** Keys of the family, after the common ones. */
  readonly metadata: ReadonlyArray<MetadataRow>
  readonly vocabularySize: number
  readonly tensors: ReadonlyArray<WantedTensor>
  /** Factors of rope frequencies, where they are the model's own. */
  readonly ropeFactors?: Float32Array
  readonly notes: ReadonlyArray<string>
}

/** A family: by which classes of transformers it is known, and how it is described. */
export interface CheckpointFamily {
  readonly classes: ReadonlyArray<string>
  /** Throws `ForeignFileInvalid`, `ConversionImpossible`. */
  readonly describe: (config: JsonFile, checkpoint: Checkpoint) => CheckpointModel
}

/** What transformers calls the activations that we have. Its other GELUs are approximations that differ. */
const activations: ReadonlyMap<string, Activation> = new Map([
  ["relu", "relu"],
  ["relu2", "relu_squared"],
  ["silu", "silu"],
  ["swish", "silu"],
  ["gelu", "gelu"]
])

/** Throws `ConversionImpossible` for what the model asks for and we do not have. */
export const unsupported = (config: JsonFile, feature: string): ConversionImpossible =>
  new ConversionImpossible({
    path: config.path,
    reason: `the model has ${feature}, which is not supported`,
    remedy: "choose a variant without it"
  })

/** The key of the activation: written where it makes a model sparse, or is not the family's own, which other programs assume. */
export const activationRows = (
  config: JsonFile,
  family: string,
  keys: ReadonlyArray<string>,
  own: Activation
): ReadonlyArray<MetadataRow> => {
  const name = config.text(keys, own)
  const activation = activations.get(name)
  if (activation === undefined) throw unsupported(config, `the activation "${name}"`)
  const written = activation !== own || activation === "relu"
  return written ? [[`${family}.hidden_activation`, "string", activation]] : []
}

/** The output matrix, unless the model uses its token embedding again. */
export const outputTensor = (
  checkpoint: Checkpoint,
  shape: ReadonlyArray<number>,
  tied: boolean
): ReadonlyArray<WantedTensor> => {
  const from = "lm_head.weight"
  if (!tied) return [{ to: "output.weight", from, shape }]
  // Saved beside the embedding by some versions; transformers reads the embedding.
  checkpoint.leaveOut(from)
  return []
}

/** Where the rows of each of `count` heads begin, one after the other from `first`. */
export const consecutiveHeads = (count: number, headWidth: number, first = 0): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, head) => first + head * headWidth)
