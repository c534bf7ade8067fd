// What can be typed after `powerinfer`?
//
// Flags are declared here; the module that does the work is imported when its command runs, so that none waits for the others.
import * as Schema from "effect/Schema"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { compareCommand } from "./compare_command.ts"
import { convertCommand } from "./convert_command.ts"
import { evaluateCommand } from "./evaluate_command.ts"
import { exitCodeTable } from "./exit_code.ts"
import {
  ctxFlag,
  engineFlags,
  jsonFlag,
  kvTypeFlag,
  modelArgument,
  optional,
  profileFlag,
  samplingFlags,
  textArgument
} from "./flags.ts"
import type { KnownOptions } from "./known_options.ts"
import { lazily } from "./lazily.ts"
import { placeCommand } from "./place_command.ts"
import { pluginCommand } from "./plugin_commands.ts"
import { profileCommand } from "./profile_command.ts"
import { trainCommand } from "./train_command.ts"
import { quantizeCommand } from "./quantize_command.ts"

const positive = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 20 }))

/** The flags of an engine, among them those of the plugins that are known. */
type EngineFlagConfig = ReturnType<typeof engineFlags>

const generate = (engine: EngineFlagConfig) =>
  Command.make(
    "generate",
    {
      model: modelArgument,
      prompt: textArgument("PROMPT"),
      ...samplingFlags,
      ...engine,
      profile: profileFlag,
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/generate.ts")).generate)
  ).pipe(
    Command.withDescription(
      "Continue a prompt: text on standard output as it comes, a line of figures on standard error"
    ),
    Command.withExamples([
      { command: 'powerinfer generate model.gguf "Once upon a time" --max-tokens 64', description: "Continue a text" },
      {
        command: "powerinfer generate model.gguf - --temperature 0 < prompt.txt",
        description: "Read the prompt from a file"
      }
    ])
  )

const chat = (engine: EngineFlagConfig) =>
  Command.make(
    "chat",
    {
      model: modelArgument,
      system: optional(Flag.String("system").pipe(Flag.withDescription("Instructions that precede the conversation"))),
      ...samplingFlags,
      ...engine,
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/chat.ts")).chat)
  ).pipe(
    Command.withDescription(
      "Talk to a model that has a chat template, a line a turn; Ctrl-C ends an answer, then the program"
    )
  )

/** How long a session is follows from what is run. */
const logits = ({ ctx: _ctx, ...engine }: EngineFlagConfig) =>
  Command.make(
    "logits",
    {
      model: modelArgument,
      tokens: Flag.String("tokens").pipe(Flag.withMetavar("ID,ID,…"), Flag.withDescription("The token ids to run")),
      out: Flag.String("out").pipe(Flag.withMetavar("FILE"), Flag.withDescription("Where the logits go")),
      ...engine,
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/logits.ts")).logits)
  ).pipe(
    Command.withDescription("Write f32[token_count][vocabulary_size], little-endian: the logits at every position")
  )

const tokenize = Command.make(
  "tokenize",
  {
    model: modelArgument,
    text: textArgument("TEXT"),
    special: Flag.Boolean("special").pipe(
      Flag.withDescription("Special tokens spelled out in the text become those tokens"),
      Flag.withDefault(false)
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/tokenize.ts")).tokenize)
).pipe(Command.withDescription("Show the tokens of a text"))

const inspect = Command.make(
  "inspect",
  {
    model: modelArgument,
    tensors: Flag.Boolean("tensors").pipe(Flag.withDescription("List every tensor"), Flag.withDefault(false)),
    ctx: ctxFlag,
    kvType: kvTypeFlag,
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/inspect.ts")).inspect)
).pipe(Command.withDescription("Show metadata, memory, what sparsity can bring, and whether the model runs here"))

const devices = Command.make(
  "devices",
  {
    backend: Flag.String("backend").pipe(
      Flag.withMetavar("NAME[:OPTIONS]"),
      Flag.between(0, 64),
      Flag.withDescription(
        "Look for devices of this backend (cuda:simulated=true); may be repeated; absent: all that look for devices"
      )
    ),
    measureAgain: Flag.Boolean("measure-again").pipe(
      Flag.withDescription("Measure speeds anew; absent: they are measured once, and kept"),
      Flag.withDefault(false)
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/devices.ts")).devices)
).pipe(
  Command.withDescription("Show what this machine can run models on, how fast it reads memory and hands blocks over")
)

/** How long a session is follows from what is run, and several predictors can be measured. */
const bench = ({ ctx: _ctx, predictor: _predictor, ...engine }: EngineFlagConfig) =>
  Command.make(
    "bench",
    {
      model: modelArgument,
      ...engine,
      predictors: Flag.String("predictor").pipe(
        Flag.withMetavar("NAME[:OPTIONS]"),
        Flag.between(0, 16),
        Flag.withDescription(
          "May be repeated: measured in turns; absent: every_neuron, and exact_gate where the model can be sparse; --predictor NAME --help lists its options"
        )
      ),
      promptTokens: Flag.Int("prompt-tokens").pipe(
        Flag.withSchema(positive),
        Flag.withDescription("Tokens of the prompt; absent: 128"),
        Flag.withDefault(128)
      ),
      tokens: Flag.Int("tokens").pipe(
        Flag.withSchema(positive),
        Flag.withDescription("Tokens to decode; absent: 64"),
        Flag.withDefault(64)
      ),
      repetitions: Flag.Int("repetitions").pipe(
        Flag.withSchema(positive),
        Flag.withDescription("Timed passes, of which the medians are shown; absent: 5"),
        Flag.withDefault(5)
      ),
      seed: Flag.Int("seed").pipe(
        Flag.withSchema(Schema.Int.check(Schema.isUint32())),
        Flag.withDescription("Of the text, which the model writes itself; absent: 1"),
        Flag.withDefault(1)
      ),
      profile: profileFlag,
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/bench.ts")).bench)
  ).pipe(
    Command.withDescription(
      "Measure prefill and decode beside the floor: the bytes of a dense token over the memory's bandwidth"
    )
  )

/** The whole command, with the flags of the plugins that are known. */
export const powerinfer = (known: KnownOptions) => {
  const engine = engineFlags(known)
  return Command.make("powerinfer").pipe(
    Command.withDescription(
      `Runs large language models whose FFN neurons fire sparsely, computing only those that fire.\n\nExit codes:\n${exitCodeTable}`
    ),
    Command.withSubcommands([
      generate(engine),
      chat(engine),
      logits(engine),
      tokenize,
      inspect,
      devices,
      bench(engine),
      convertCommand,
      quantizeCommand,
      evaluateCommand(engine),
      compareCommand,
      placeCommand,
      profileCommand(engine),
      trainCommand(engine),
      pluginCommand
    ])
  )
}
