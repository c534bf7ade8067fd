// bun bench/planted_model.ts --shape llama-1.1b --type Q8_0 --out FILE: writes a runnable model of a real size, without a download.
//
// Its weights are random (planted_weights.ts): it reads, computes and skips as many bytes as a trained model of its shape, but what it says means
// nothing. How often its neurons fire, which of them, and how well that can be predicted is planted, and recorded in the file.
import { type FileUnwritable, tensorTypes, writeGguf } from "@powerinfer/core"
import { tinyFamilies, tinyVocabulary } from "@powerinfer/core/testing"
import { Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { InvalidUsage } from "../apps/cli/invalid_usage.ts"
import { note } from "../apps/cli/output.ts"
import { withProgress } from "../apps/cli/progress.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { impossibleActivity } from "./planted_activity.ts"
import { plantedShapes, type PlantedShape } from "./planted_shapes.ts"
import { matrixType, plantedTypes } from "./planted_types.ts"
import { constantWidth, plantedTensors, type PlantedModel } from "./planted_weights.ts"

/** Writes the model. Fails with `FileUnwritable`; an interruption leaves nothing behind. */
export const writePlantedModel = (
  path: string,
  name: string,
  model: PlantedModel
): Effect.Effect<void, FileUnwritable> => {
  const { shape, type, activity, variation, seed } = model
  return writeGguf(path, {
    metadata: [
      ["general.architecture", "string", shape.family],
      ["general.name", "string", name],
      ...tinyFamilies[shape.family].metadata(shape),
      [`${shape.family}.hidden_activation`, "string", "relu"],
      ["powerinfer.planted.type", "string", type],
      ["powerinfer.planted.active_share", "f32", activity.activeShare],
      ["powerinfer.planted.hot_neurons", "f32", activity.hotNeurons],
      ["powerinfer.planted.hot_share", "f32", activity.hotShare],
      ["powerinfer.planted.rank", "u32", variation.rank],
      ["powerinfer.planted.low_rank_share", "f32", variation.lowRankShare],
      ["powerinfer.planted.constant_channels", "u32", constantWidth],
      ["powerinfer.planted.seed", "u32", seed],
      ...tinyVocabulary(shape.vocabularySize)
    ],
    tensors: plantedTensors(model)
  })
}

/** Why no file can be planted so, or undefined if one can. */
export const impossibleModel = ({ shape, type, activity, variation }: PlantedModel): string | undefined => {
  if (variation.rank > shape.hiddenWidth - constantWidth) {
    return `a rank of ${variation.rank} among ${shape.hiddenWidth - constantWidth} varying channels`
  }
  const { blockSize } = tensorTypes[matrixType(type, "token_embd.weight", shape.blockCount)]
  const ragged = [shape.hiddenWidth, shape.ffnWidth].find((width) => width % blockSize !== 0)
  if (ragged !== undefined) return `rows of ${ragged} weights are not whole blocks of ${type}, which have ${blockSize}`
  return impossibleActivity(activity)
}

const share = Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))
const count = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))

const command = Command.make(
  "planted_model",
  {
    shape: Flag.Literals("shape", Object.keys(plantedShapes) as ReadonlyArray<keyof typeof plantedShapes>),
    family: Flag.Literals("family", ["llama", "smallthinker"] as const).pipe(
      Flag.withDescription("Of a llama shape: smallthinker is the form that llama.cpp also computes with ReLU"),
      Flag.optional
    ),
    type: Flag.Literals("type", plantedTypes),
    active: Flag.Finite("active").pipe(
      Flag.withSchema(share),
      Flag.withDescription("Share of neurons that fire for a token; absent: 0.1"),
      Flag.withDefault(0.1)
    ),
    hot: Flag.Finite("hot").pipe(
      Flag.withSchema(share),
      Flag.withDescription("Share of neurons that are called hot; absent: 0.2"),
      Flag.withDefault(0.2)
    ),
    hotShare: Flag.Finite("hot-share").pipe(
      Flag.withSchema(share),
      Flag.withDescription("Share of all firing that the hot ones do; as --hot: all fire alike; absent: 0.8"),
      Flag.withDefault(0.8)
    ),
    rank: Flag.Int("rank").pipe(
      Flag.withSchema(count(2 ** 16)),
      Flag.withDescription("Directions that decide which neurons fire; absent: a sixteenth of the hidden width"),
      Flag.optional
    ),
    lowRankShare: Flag.Finite("low-rank-share").pipe(
      Flag.withSchema(share),
      Flag.withDescription("Share of a gate's variance that these directions explain, the rest is noise; absent: 0.9"),
      Flag.withDefault(0.9)
    ),
    blocks: Flag.Int("blocks").pipe(
      Flag.withSchema(count(1024)),
      Flag.withDescription("Instead of the shape's own number of blocks"),
      Flag.optional
    ),
    seed: Flag.Int("seed").pipe(Flag.withSchema(Schema.Int.check(Schema.isUint32())), Flag.withDefault(1)),
    out: Flag.String("out").pipe(Flag.withMetavar("FILE"))
  },
  Effect.fnUntraced(function* (input) {
    const named: PlantedShape = plantedShapes[input.shape]
    const family = Option.getOrElse(input.family, () => named.family)
    if (family !== named.family && named.family !== "llama") {
      return yield* new InvalidUsage({ reason: `--family ${family} is for llama shapes, ${input.shape} is not one` })
    }
    const model: PlantedModel = {
      shape: { ...named, family, blockCount: Option.getOrElse(input.blocks, () => named.blockCount) },
      type: input.type,
      activity: { activeShare: input.active, hotNeurons: input.hot, hotShare: input.hotShare },
      variation: {
        rank: Option.getOrElse(input.rank, () => Math.floor(named.hiddenWidth / 16)),
        lowRankShare: input.lowRankShare
      },
      seed: input.seed
    }
    const reason = impossibleModel(model)
    if (reason !== undefined) return yield* new InvalidUsage({ reason: `Cannot plant this model: ${reason}` })
    const form = family === named.family ? input.shape : `${input.shape}-as-${family}`
    const blocks = Option.match(input.blocks, { onNone: () => "", onSome: (given) => `-${given}-blocks` })
    const name = `planted-${form}${blocks}-${input.type}-${input.active}`
    const start = performance.now()
    yield* withProgress(`Writing ${input.out}`, () => writePlantedModel(input.out, name, model))
    yield* note(`${input.out}: written in ${((performance.now() - start) / 1000).toFixed(1)} s`)
  })
).pipe(Command.withDescription("Write a runnable model with random weights whose neurons fire as planned"))

if (import.meta.main) runCommand(command)
