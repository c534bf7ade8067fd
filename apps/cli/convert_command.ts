// powerinfer convert: its flags.
import { Argument, Command, Flag } from "effect/cli"
import { writableTypes } from "./flag_values.ts"
import { jsonFlag, optional } from "./flags.ts"
import { lazily } from "./lazily.ts"

export const convertCommand = Command.make(
  "convert",
  {
    input: Argument.String("IN").pipe(Argument.withDescription("A model file")),
    to: Flag.Literals("to", ["gguf", "powerinfer"]).pipe(
      Flag.withDescription(
        "gguf: the usual layout; powerinfer: that of *.powerinfer.gguf, down by neuron and predictors beside the model"
      )
    ),
    out: Flag.String("out").pipe(Flag.withMetavar("FILE"), Flag.withDescription("Where the result goes")),
    type: optional(
      Flag.Literals("type", writableTypes).pipe(
        Flag.withDescription("Into which type a quantized down is encoded anew; absent: such a model is refused")
      )
    ),
    predictor: optional(
      Flag.String("predictor").pipe(
        Flag.withMetavar("FILE"),
        Flag.withDescription("With --to powerinfer: a GGUF file with blk.N.fc1.weight and blk.N.fc2.weight")
      )
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/convert.ts")).convert)
).pipe(
  Command.withDescription("Make a model of one format into one of another"),
  Command.withExamples([
    {
      command: "powerinfer convert model.gguf --to powerinfer --predictor fc.gguf --out model.powerinfer.gguf",
      description: "A file that PowerInfer reads"
    }
  ])
)
