// How does a directory of Hugging Face's (config.json, safetensors, tokenizer) become a GGUF file?
import { existsSync, statSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import type * as Effect from "effect/Effect"
import type { MetadataRow, TensorToWrite } from "../../gguf/writer.ts"
import { attemptConversion, ConversionImpossible, type ConversionError } from "../conversion_error.ts"
import { fileTypes } from "../model_tensors.ts"
import type { Conversion } from "../write_conversion.ts"
import { Checkpoint } from "./checkpoint.ts"
import { falcon } from "./falcon.ts"
import { bamboo, llama } from "./llama.ts"
import { opt } from "./opt.ts"
import { readJsonFile } from "./json_file.ts"
import { readTokenizerRows } from "./tokenizer_rows.ts"

/** Every family that can be converted. */
const families = [llama, bamboo, falcon, opt]

export interface CheckpointOptions {
  /** Of every matrix; vectors are F32. Default F16. */
  readonly type?: "F32" | "F16" | "BF16" | undefined
  /** Default: the directory's name. */
  readonly name?: string | undefined
}

/** Whether a path is a directory with a config.json. */
export const isCheckpoint = (path: string): boolean =>
  existsSync(path) && statSync(path).isDirectory() && existsSync(join(path, "config.json"))

/**
 * Plans a GGUF file: names, order of rows and metadata of our families; weights are read when they are written.
 *
 * | transformers' class | family |
 * |---|---|
 * | LlamaForCausalLM, MistralForCausalLM | llama |
 * | BambooForCausalLM | bamboo |
 * | FalconForCausalLM, RWForCausalLM | falcon |
 * | OPTForCausalLM | opt |
 *
 * - fails  with `ForeignFileInvalid` (a damaged file, a missing tensor), `ConversionImpossible` (another class, what we do not compute, a
 *          tensor without a place), `FileNotFound` and its like
 */
export const planCheckpoint = (
  directory: string,
  options: CheckpointOptions = {}
): Effect.Effect<Conversion, ConversionError> =>
  attemptConversion(() => {
    const { type = "F16", name = basename(resolve(directory)) } = options
    const config = readJsonFile(join(directory, "config.json"))
    const className = config.get("architectures") === undefined ? "" : String(config.list("architectures")[0])
    const family = families.find(({ classes }) => classes.includes(className))
    if (family === undefined) {
      throw new ConversionImpossible({
        path: config.path,
        reason: `its architecture is "${className}"`,
        remedy: `choose a model of ${families.flatMap(({ classes }) => classes).join(", ")}`
      })
    }
    const checkpoint = new Checkpoint(directory)
    const model = family.describe(config, checkpoint)
    const tokenizer = readTokenizerRows(directory, config, model.vocabularySize)
    const tensors = model.tensors.flatMap((wanted) => checkpoint.take(wanted, type) ?? [])
    checkpoint.checkEveryTensorIsUsed()
    const metadata: ReadonlyArray<MetadataRow> = [
      ["general.architecture", "string", model.family],
      ["general.name", "string", name],
      ...model.metadata,
      ["general.file_type", "u32", fileTypes[type]],
      ...tokenizer.rows
    ]
    return {
      gguf: { metadata, tensors: [...tensors, ...(model.ropeFactors ? [ropeTensor(model.ropeFactors)] : [])] },
      notes: [...model.notes, ...tokenizer.notes]
    }
  })

const ropeTensor = (factors: Float32Array): TensorToWrite => ({
  name: "rope_freqs.weight",
  type: "F32",
  shape: [factors.length],
  chunks: () => [new Uint8Array(factors.buffer, factors.byteOffset, factors.byteLength)]
})
