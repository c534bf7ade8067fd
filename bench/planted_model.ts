// bun bench/planted_model.ts --shape llama-1.1b --type Q8_0 --out FILE: writes a runnable model of a real size, without a download.
//
// Its weights are random (planted_weights.ts): it reads, computes and skips as many bytes as a trained model of its shape, but what it says means
// nothing. `--active` plants the share of neurons that fire.
import { type FileUnwritable, writeGguf } from "@powerinfer/core"
import { tinyVocabulary } from "@powerinfer/core/testing"
import { Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { note } from "../apps/cli/output.ts"
import { withProgress } from "../apps/cli/progress.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { plantedTypes } from "./planted_types.ts"
import { plantedTensors, type PlantedShape, type PlantedWeights } from "./planted_weights.ts"

/** Shapes by name. `llama-1.1b` is TinyLlama's, `llama-7b-8-blocks` a quarter of Llama 2's 7B; `tiny` is for tests. */
export const plantedShapes = {
  "llama-1.1b": {
    blockCount: 22,
    hiddenWidth: 2048,
    ffnWidth: 5632,
    headCount: 32,
    kvHeadCount: 4,
    vocabularySize: 32000,
    contextLength: 2048
  },
  "llama-7b-8-blocks": {
    blockCount: 8,
    hiddenWidth: 4096,
    ffnWidth: 11008,
    headCount: 32,
    kvHeadCount: 32,
    vocabularySize: 32000,
    contextLength: 4096
  },
  tiny: {
    blockCount: 3,
    hiddenWidth: 256,
    ffnWidth: 768,
    headCount: 8,
    kvHeadCount: 4,
    vocabularySize: 512,
    contextLength: 256
  }
} as const satisfies Readonly<Record<string, PlantedShape>>

/** Writes the model. Fails with `FileUnwritable`; an interruption leaves nothing behind. */
export const writePlantedModel = (
  path: string,
  name: string,
  weights: PlantedWeights
): Effect.Effect<void, FileUnwritable> => {
  const { shape } = weights
  return writeGguf(path, {
    metadata: [
      ["general.architecture", "string", "llama"],
      ["general.name", "string", name],
      ["llama.block_count", "u32", shape.blockCount],
      ["llama.context_length", "u32", shape.contextLength],
      ["llama.embedding_length", "u32", shape.hiddenWidth],
      ["llama.feed_forward_length", "u32", shape.ffnWidth],
      ["llama.attention.head_count", "u32", shape.headCount],
      ["llama.attention.head_count_kv", "u32", shape.kvHeadCount],
      ["llama.attention.layer_norm_rms_epsilon", "f32", 1e-5],
      ["llama.rope.dimension_count", "u32", shape.hiddenWidth / shape.headCount],
      ["llama.hidden_activation", "string", "relu"],
      ["powerinfer.planted.active_share", "f32", weights.activeShare],
      ["powerinfer.planted.seed", "u32", weights.seed],
      ...tinyVocabulary(shape.vocabularySize)
    ],
    tensors: plantedTensors(weights)
  })
}

const share = Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))

const command = Command.make(
  "planted_model",
  {
    shape: Flag.Literals("shape", Object.keys(plantedShapes) as ReadonlyArray<keyof typeof plantedShapes>),
    type: Flag.Literals("type", plantedTypes),
    active: Flag.Finite("active").pipe(
      Flag.withSchema(share),
      Flag.withDescription("Share of neurons that fire; absent: 0.1"),
      Flag.withDefault(0.1)
    ),
    blocks: Flag.Int("blocks").pipe(
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1024 }))),
      Flag.withDescription("Instead of the shape's own number of blocks"),
      Flag.optional
    ),
    seed: Flag.Int("seed").pipe(Flag.withSchema(Schema.Int.check(Schema.isUint32())), Flag.withDefault(1)),
    out: Flag.String("out").pipe(Flag.withMetavar("FILE"))
  },
  Effect.fnUntraced(function* (input) {
    const named = plantedShapes[input.shape]
    const shape: PlantedShape = { ...named, blockCount: Option.getOrElse(input.blocks, () => named.blockCount) }
    const name = `planted-${input.shape}-${input.type}-${input.active}`
    const weights = { shape, type: input.type, activeShare: input.active, seed: input.seed }
    const start = performance.now()
    yield* withProgress(`Writing ${input.out}`, () => writePlantedModel(input.out, name, weights))
    yield* note(`${input.out}: written in ${((performance.now() - start) / 1000).toFixed(1)} s`)
  })
).pipe(Command.withDescription("Write a runnable model with random weights and a planted share of firing neurons"))

if (import.meta.main) runCommand(command)
