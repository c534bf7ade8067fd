// powerinfer quantize: its flags.
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { quantizedModelTypes, writableTypes } from "./flag_values.ts"
import { jsonFlag, modelArgument, optional } from "./flags.ts"
import { lazily } from "./lazily.ts"

const typeOf = (name: string, what: string) =>
  optional(Flag.Literals(name, writableTypes).pipe(Flag.withDescription(`Type of ${what}`)))

export const quantizeCommand = Command.make(
  "quantize",
  {
    model: modelArgument,
    type: Flag.Literals("type", quantizedModelTypes).pipe(
      Flag.withDescription("Type of the matrices; vectors and norms stay as they are")
    ),
    out: Flag.String("out").pipe(Flag.withMetavar("FILE"), Flag.withDescription("Where the model goes")),
    embeddingType: typeOf("embedding-type", "the token embedding; absent: Q8_0, with --type F16 F16"),
    outputType: typeOf("output-type", "the output matrix; absent: that of the embedding"),
    requantizes: Flag.Boolean("allow-requantize").pipe(
      Flag.withDescription("Take quantized tensors from one type to another, with the errors of both"),
      Flag.withDefault(false)
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/quantize.ts")).quantize)
).pipe(
  Command.withDescription("Store a model's matrices in a smaller type"),
  Command.withExamples([
    {
      command: "powerinfer quantize model-f16.gguf --type Q4_0 --out model-q4_0.gguf",
      description: "A quarter of the size"
    }
  ])
)
