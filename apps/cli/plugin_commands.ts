// What can be typed after `powerinfer plugin`?
import { Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { jsonFlag } from "./flags.ts"
import { lazily } from "./lazily.ts"
import { nativeLanguages } from "./native_languages.ts"

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
    native: Flag.Literals("native", nativeLanguages).pipe(
      Flag.withDescription("What a predictor's kernel is written in; absent: none, all of it is TypeScript"),
      Flag.withDefault("none")
    ),
    directory: Flag.String("directory").pipe(
      Flag.withDescription("The folder to make; absent: KIND-NAME, here"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    )
  },
  lazily(async () => (await import("./commands/plugin_create.ts")).pluginCreate)
).pipe(Command.withDescription("Write a package that passes its tests and runs: the place to begin"))

const build = Command.make(
  "build",
  {
    plugin: Argument.String("FOLDER").pipe(
      Argument.withDescription("A folder, or a package that is a dependency here; absent: this folder"),
      Argument.withDefault(".")
    ),
    prebuilt: Flag.Boolean("prebuilt").pipe(
      Flag.withDescription(
        "For any machine of this platform, into prebuilt/, to be published; absent: for this one, into build/"
      ),
      Flag.withDefault(false)
    )
  },
  lazily(async () => (await import("./commands/plugin_build.ts")).pluginBuild)
).pipe(Command.withDescription("Compile the kernels of a plugin: every kernels/NAME.c, .cc or .rs becomes a library"))

/** Everything about plugins themselves. */
export const pluginCommand = Command.make("plugin").pipe(
  Command.withDescription("List, make and build plugins"),
  Command.withSubcommands([list, create, build])
)
