// The flags of `powerinfer compare`.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { jsonFlag, optional } from "./flags.ts"
import { lazily } from "./lazily.ts"

export const compareCommand = Command.make(
  "compare",
  {
    experiment: Argument.String("EXPERIMENT").pipe(
      Argument.withDescription("A TOML file that names models, texts and predictors: docs/experiments.md")
    ),
    out: optional(
      Flag.String("out").pipe(
        Flag.withMetavar("DIRECTORY"),
        Flag.withDescription("Where results and reports are kept; absent: EXPERIMENT.results here")
      )
    ),
    replay: optional(
      Flag.String("replay").pipe(
        Flag.withMetavar("TRACE"),
        Flag.withDescription(
          "Judge the predictors from a trace (powerinfer profile --trace) without running the model, beside the results there are"
        )
      )
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/compare.ts")).compareFile)
).pipe(
  Command.withDescription(
    "Evaluate every model with every predictor of an experiment, and report which ways no other beats; goes on where it was interrupted"
  ),
  Command.withExamples([
    { command: "powerinfer compare experiment.toml", description: "Run what has not been run, and write the reports" }
  ])
)
