// How does a model file become a described model?
import * as Effect from "effect/Effect"
import { type GgufError, isGgufError } from "../gguf/gguf_error.ts"
import { readGguf } from "../gguf/open.ts"
import type { Gguf } from "../gguf/reader.ts"
import type { Architecture } from "./architecture.ts"
import { bamboo } from "./architectures/bamboo.ts"
import { falcon } from "./architectures/falcon.ts"
import { llama } from "./architectures/llama.ts"
import { opt } from "./architectures/opt.ts"
import { qwen2 } from "./architectures/qwen2.ts"
import { qwen3 } from "./architectures/qwen3.ts"
import { smallthinker } from "./architectures/smallthinker.ts"
import { BlockReader, readNorm } from "./block_reader.ts"
import { isModelError, type ModelError, UnsupportedArchitecture } from "./model_error.ts"
import { type Activation, type Model, modelActivation, type ModelShape } from "./model.ts"
import { ModelFile } from "./model_file.ts"
import { readShape } from "./read_shape.ts"
import { readSparseThreshold, readStoredPredictors } from "./stored_predictors.ts"

/** Every family that can be run. */
const architectures: ReadonlyArray<Architecture> = [llama, bamboo, opt, falcon, qwen2, qwen3, smallthinker]

/** Reads the header of the model at `path` and describes it. Weights are not touched. */
export const openModel = (path: string): Effect.Effect<Model, GgufError | ModelError> =>
  Effect.flatMap(readGguf(path), describeModel)

/**
 * Finds the part that every tensor plays and checks that each has the shape that part needs, so that nobody after this
 * need check again.
 *
 * - fails  `UnsupportedArchitecture`, `UnsupportedFeature`, `InvalidModel`, `MissingMetadata`, `InvalidMetadata`
 */
export const describeModel = (gguf: Gguf): Effect.Effect<Model, GgufError | ModelError> => attempt(() => describe(gguf))

/** The predictors for a model of this shape that another file than the model's holds; fails as `describeModel` does. */
export const describeStoredPredictors = (
  gguf: Gguf,
  shape: ModelShape
): Effect.Effect<Pick<Model, "predictors" | "sparseThreshold">, GgufError | ModelError> =>
  attempt(() => storedPredictors(new ModelFile(gguf, shape.family), shape))

const attempt = <A>(evaluate: () => A): Effect.Effect<A, GgufError | ModelError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(evaluate())
    } catch (error) {
      return isModelError(error) || isGgufError(error) ? Effect.fail(error) : Effect.die(error)
    }
  })

const describe = (gguf: Gguf): Model => {
  const name = gguf.metadata.string("general.architecture")
  const architecture = architectures.find((known) => known.name === name)
  if (!architecture) {
    throw new UnsupportedArchitecture({ architecture: name, known: architectures.map((known) => known.name) })
  }
  const file = new ModelFile(gguf, name)
  architecture.check?.(file)
  const shape = readShape(file, architecture)
  const { hiddenWidth, vocabularySize, positions } = shape

  const embedding = [hiddenWidth, vocabularySize]
  const tokenEmbedding = file.tensor("token_embd.weight", embedding)
  const outputBias = file.optionalTensor("output.bias", [vocabularySize])
  const ropeFactors =
    positions.kind === "rope" ? file.optionalTensor("rope_freqs.weight", [positions.width / 2]) : undefined
  // One after the other: a hostile block count ends at the first block that the file does not have.
  const blocks = Array.from({ length: shape.blockCount }, (_, block) =>
    architecture.block(new BlockReader(file, shape, block))
  )
  const model: Model = {
    gguf,
    name: gguf.metadata.string("general.name", file.path.replace(/^.*[/\\]/, "")),
    shape,
    tokenEmbedding,
    ...(positions.kind === "learned" && {
      positionEmbedding: file.tensorOfWidth("position_embd.weight", hiddenWidth)
    }),
    outputNorm: readNorm(file, shape, "output_norm"),
    output: {
      weight: file.optionalTensor("output.weight", embedding) ?? tokenEmbedding,
      ...(outputBias && { bias: outputBias })
    },
    ...(ropeFactors && { ropeFactors }),
    blocks,
    ...storedPredictors(file, shape),
    sparse: dropsNeurons(modelActivation(shape))
  }
  file.checkEveryTensorIsUsed()
  return model
}

const storedPredictors = (file: ModelFile, shape: ModelShape): Pick<Model, "predictors" | "sparseThreshold"> => {
  const predictors = readStoredPredictors(file, shape)
  return { ...(predictors && { predictors }), sparseThreshold: readSparseThreshold(file) }
}

const dropsNeurons = (activation: Activation): boolean => activation === "relu" || activation === "relu_squared"
