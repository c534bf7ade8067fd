// What can be typed after `powerinfer plugin`?
import { Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { flagKinds } from "./argument_scan.ts"
import { jsonFlag } from "./flags.ts"
import { lazily } from "./lazily.ts"

const inspect = Command.make(
  "inspect",
  {
    name: Argument.String("NAME").pipe(Argument.withDescription("One of ours, a path or a package")),
    kind: Flag.Literals("kind", flagKinds).pipe(
      Flag.withDescription("Where plugins of several kinds have the name"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/plugin_inspect.ts")).pluginInspect)
).pipe(
  Command.withDescription("Show what a plugin is, whether it fits this engine, and its options"),
  Command.withExamples([
    { command: "powerinfer plugin inspect oracle_top_k", description: "One of ours" },
    { command: "powerinfer plugin inspect ./my_predictor.ts --json", description: "A file, as JSON" }
  ])
)

const list = Command.make(
  "list",
  { json: jsonFlag },
  lazily(async () => (await import("./commands/plugin_list.ts")).pluginList)
).pipe(Command.withDescription("Show the plugins that can be named here, without running any of them"))

/** Everything about plugins themselves. */
export const pluginCommand = Command.make("plugin").pipe(
  Command.withDescription("List plugins, look into them"),
  Command.withSubcommands([list, inspect])
)
