// What can be typed after `powerinfer plugin`?
import { Command } from "effect/cli"
import { jsonFlag } from "./flags.ts"
import { lazily } from "./lazily.ts"

const list = Command.make(
  "list",
  { json: jsonFlag },
  lazily(async () => (await import("./commands/plugin_list.ts")).pluginList)
).pipe(Command.withDescription("Show the plugins that can be named here, without running any of them"))

/** Everything about plugins themselves. */
export const pluginCommand = Command.make("plugin").pipe(
  Command.withDescription("List plugins"),
  Command.withSubcommands([list])
)
