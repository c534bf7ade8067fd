// powerinfer convert: its flags.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { count, writableTypes } from "./flag_values.ts"
import { jsonFlag, optional, optionalFile } from "./flags.ts"
import { lazily } from "./lazily.ts"

export const convertCommand = Command.make(
  "convert",
  {
    input: Argument.String("IN").pipe(
      Argument.withDescription(
        "A model file, a directory of Hugging Face's (config.json and safetensors), or what lies beside a model of PowerInfer's: the folder of activation statistics, MODEL.generated.gpuidx"
      )
    ),
    to: Flag.Literals("to", ["gguf", "powerinfer", "profile", "plan"]).pipe(
      Flag.withDescription(
        "gguf: the usual layout; powerinfer: that of *.powerinfer.gguf, down by neuron and predictors beside the model; profile: activation statistics as powerinfer profile writes them; plan: a generated index as powerinfer place writes it"
      )
    ),
    out: Flag.String("out").pipe(Flag.withMetavar("FILE"), Flag.withDescription("Where the result goes")),
    type: optional(
      Flag.Literals("type", writableTypes).pipe(
        Flag.withDescription(
          "Of a checkpoint: of its matrices, F16, F32 or BF16, absent: F16; else into which type a quantized down is encoded anew, absent: such a model is refused"
        )
      )
    ),
    predictor: optionalFile(
      "predictor",
      "With --to powerinfer: a GGUF file with blk.N.fc1.weight and blk.N.fc2.weight"
    ),
    model: optionalFile("model", "The model that statistics or an index are of; absent: the one that lies beside them"),
    tokens: optional(
      Flag.Int("tokens").pipe(
        Flag.withSchema(count(1)),
        Flag.withDescription("Tokens that the statistics were counted over; absent: the largest count")
      )
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/convert.ts")).convert)
).pipe(
  Command.withDescription("Make a model of one format into one of another, or of PowerInfer's files ours"),
  Command.withExamples([
    {
      command: "powerinfer convert Llama-2-7b-hf --to gguf --out llama-2-7b.gguf",
      description: "A checkpoint of Hugging Face's"
    },
    {
      command: "powerinfer convert model.gguf --to powerinfer --predictor fc.gguf --out model.powerinfer.gguf",
      description: "A file that PowerInfer reads"
    }
  ])
)
