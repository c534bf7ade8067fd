// What can be typed after `powerinfer plugin`?
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { flagKinds } from "./argument_scan.ts"
import { jsonFlag, optional } from "./flags.ts"
import { lazily } from "./lazily.ts"
import { nativeLanguages } from "./native_languages.ts"

const kindFlag = optional(
  Flag.Literals("kind", flagKinds).pipe(Flag.withDescription("Where plugins of several kinds have the name"))
)

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
    directory: optional(
      Flag.String("directory").pipe(Flag.withDescription("The folder to make; absent: KIND-NAME, here"))
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

const inspect = Command.make(
  "inspect",
  {
    name: Argument.String("NAME").pipe(Argument.withDescription("A name of plugin list, a path or a package")),
    kind: kindFlag,
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

const check = Command.make(
  "check",
  {
    name: Argument.String("NAME[:OPTIONS]").pipe(
      Argument.withDescription("A name of plugin list (oracle_top_k:share=0.1), a path or a package")
    ),
    kind: kindFlag,
    model: optional(
      Flag.String("model").pipe(
        Flag.withMetavar("MODEL"),
        Flag.withDescription(
          "Measure a predictor on this GGUF file, on hidden vectors of its own; one that refuses the tiny models of the suite, and cannot be trained on them, is also checked on it"
        )
      )
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

/** Everything about plugins themselves. */
export const pluginCommand = Command.make("plugin").pipe(
  Command.withDescription("List plugins, look into them, check them, make and build them"),
  Command.withSubcommands([list, inspect, check, create, build])
)
