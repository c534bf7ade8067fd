// The flags of `powerinfer profile`.
import * as Schema from "effect/Schema"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { count } from "./flag_values.ts"
import { type engineFlags, jsonFlag, modelArgument, optional, optionalFile } from "./flags.ts"
import { lazily } from "./lazily.ts"

/** Which texts are run and how they are cut. `powerinfer train` has them too. */
export const textFlags = {
  ctx: optional(
    Flag.Int("ctx").pipe(
      Flag.withSchema(count(2)),
      Flag.withDescription(
        "Tokens of a window, which begins with an empty KV cache; absent: 512, or what the model was made for"
      )
    )
  ),
  bos: Flag.Boolean("bos").pipe(
    Flag.withDescription("--no-bos: the token that begins a document begins documents only, not every window"),
    Flag.withDefault(true)
  ),
  threshold: optional(
    Flag.Finite("threshold").pipe(
      Flag.withSchema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 }))),
      Flag.withDescription(
        "A neuron fires if |activation| is above this share of the root mean square of all neurons of its block for the token; 0: if it is not zero; absent: 0, or 0.1 where the activation makes no zeros"
      )
    )
  )
}

/** The dense run is what is looked at: there is no predictor to choose. */
export const profileCommand = ({ ctx: _ctx, predictor: _predictor, ...engine }: ReturnType<typeof engineFlags>) =>
  Command.make(
    "profile",
    {
      model: modelArgument,
      texts: Argument.String("TEXT").pipe(
        Argument.variadic({ min: 1 }),
        Argument.withDescription(
          "Files of text, in which <|doc|> on a line of its own begins a document, or of JSON lines with a document each under text (.jsonl); - reads the standard input"
        )
      ),
      ...engine,
      ...textFlags,
      windows: optional(
        Flag.Int("windows").pipe(
          Flag.withSchema(count(1)),
          Flag.withDescription("Windows of each text, spread evenly over it; absent: all")
        )
      ),
      out: optionalFile("out", "Where the profile goes"),
      trace: optionalFile("trace", "Where a trace goes: token by token, what every FFN saw and which neurons fired"),
      svg: optionalFile("svg", "Where a picture of the power law goes"),
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/profile.ts")).profile)
  ).pipe(
    Command.withDescription(
      "Count how often each neuron fires on a text; a run that was ended goes on where it was when it is started again"
    ),
    Command.withExamples([
      {
        command: "powerinfer profile model.gguf valid.txt --out profile.json --svg profile.svg",
        description: "Frequencies of all neurons, and their power law"
      },
      {
        command: "powerinfer profile model.gguf train.txt --windows 100 --trace trace.arrow",
        description: "What predictors are trained on"
      }
    ])
  )
