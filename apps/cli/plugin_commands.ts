// What can be typed after `powerinfer plugin`?
import { Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { jsonFlag } from "./flags.ts"
import { lazily } from "./lazily.ts"

const list = Command.make(
  "list",
  { json: jsonFlag },
  lazily(async () => (await import("./commands/plugin_list.ts")).pluginList)
).pipe(Command.withDescription("Show the plugins that can be named here, without running any of them"))

const create = Command.make(
  "create",
  {
    kind: Argument.Literals("KIND", ["predictor", "placement", "backend"]).pipe(
      Argument.withDescription("What the plugin is to be")
    ),
    name: Argument.String("NAME").pipe(Argument.withDescription("What it is called: lower-case words, hash_rows")),
    directory: Flag.String("directory").pipe(
      Flag.withDescription("The folder to make; absent: KIND-NAME, here"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    )
  },
  lazily(async () => (await import("./commands/plugin_create.ts")).pluginCreate)
).pipe(Command.withDescription("Write a package that passes its tests and runs: the place to begin"))

/** Everything about plugins themselves. */
export const pluginCommand = Command.make("plugin").pipe(
  Command.withDescription("List and make plugins"),
  Command.withSubcommands([list, create])
)
