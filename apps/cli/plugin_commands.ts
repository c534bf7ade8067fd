// What can be typed after `powerinfer plugin`?
import { Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { pluginKinds } from "powerinfer"
import { jsonFlag } from "./flags.ts"
import { lazily } from "./lazily.ts"

const check = Command.make(
  "check",
  {
    name: Argument.String("NAME[:OPTIONS]").pipe(
      Argument.withDescription("One of ours (oracle_top_k:share=0.1), a path or a package")
    ),
    kind: Flag.Literals("kind", pluginKinds).pipe(
      Flag.withDescription("Absent: what the plugin says it is"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    model: Flag.String("model").pipe(
      Flag.withMetavar("MODEL"),
      Flag.withDescription(
        "Measure a predictor on this GGUF file, on hidden vectors of its own; one that refuses the tiny models of the suite, and cannot be trained on them, is also checked on it"
      ),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/plugin_check.ts")).pluginCheck)
).pipe(
  Command.withDescription(
    "Run the contract suite of its kind on a plugin, and measure what it costs: a line a check, as they finish"
  ),
  Command.withExamples([
    { command: "powerinfer plugin check ./my_predictor.ts --model model.gguf", description: "While writing one" }
  ])
)

/** Commands for who writes plugins, or wonders about one. */
export const pluginCommand = Command.make("plugin").pipe(
  Command.withDescription("Check plugins"),
  Command.withSubcommands([check])
)
