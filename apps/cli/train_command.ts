// The flags of `powerinfer train`.
import * as Schema from "effect/Schema"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { count } from "./flag_values.ts"
import { type engineFlags, jsonFlag, modelArgument, optionalFile } from "./flags.ts"
import { lazily } from "./lazily.ts"
import { textFlags } from "./profile_command.ts"

/** Of each text: some 65,000 tokens, a minute on the models in the repository. */
const defaultWindows = 128

/** The predictor stands first; its options are flags as they are elsewhere. */
export const trainCommand = ({ ctx: _ctx, predictor: _predictor, ...engine }: ReturnType<typeof engineFlags>) =>
  Command.make(
    "train",
    {
      predictor: Argument.String("PREDICTOR").pipe(
        Argument.withDescription("A name of powerinfer plugin list, a path or a package, of a predictor that learns")
      ),
      model: modelArgument,
      texts: Argument.String("TEXT").pipe(
        Argument.variadic(),
        Argument.withDescription("As for powerinfer profile: what to learn from, where there is no --trace")
      ),
      ...engine,
      ...textFlags,
      windows: Flag.Int("windows").pipe(
        Flag.withSchema(count(1)),
        Flag.withDescription(`Windows of each text, spread evenly over it; absent: ${defaultWindows}`),
        Flag.withDefault(defaultWindows)
      ),
      trace: optionalFile("trace", "What powerinfer profile --trace wrote for this model; absent: made from the texts"),
      out: Flag.String("out").pipe(Flag.withMetavar("FILE"), Flag.withDescription("Where what was learned goes")),
      seed: Flag.Int("seed").pipe(
        Flag.withSchema(Schema.Int.check(Schema.isUint32())),
        Flag.withDescription("Of everything that is drawn: the same seed gives the same file; absent: 1"),
        Flag.withDefault(1)
      ),
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/train.ts")).train)
  ).pipe(
    Command.withDescription(
      "Train a predictor on a model and a text, or a trace; one that was ended goes on when it is started again"
    ),
    Command.withExamples([
      {
        command: "powerinfer train mlp model.gguf train.txt --out predictor.gguf",
        description: "Learn from a text which neurons fire"
      },
      {
        command: "powerinfer train mlp model.gguf --trace trace.arrow --out predictor.gguf --seed 2",
        description: "Learn from what powerinfer profile has kept"
      }
    ])
  )
