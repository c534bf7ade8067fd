// Which flags do several commands share?
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import type { CacheType, PluginKind } from "powerinfer"
import { batchRows, cacheTypes, contextTokens, count } from "./flag_values.ts"
import { defaultSettingsFile, type KnownOptions } from "./known_options.ts"
import { type GivenOptions, optionFlags } from "./option_flags.ts"
import type { SettingsFile } from "./settings_file.ts"

/** A flag that may be left out: undefined then. */
export const optional = <A>(flag: Flag.Flag<A>): Flag.Flag<A | undefined> =>
  Flag.optional(flag).pipe(Flag.map(Option.getOrUndefined))

/** A file that need not be named. */
export const optionalFile = (name: string, description: string) =>
  optional(Flag.String(name).pipe(Flag.withMetavar("FILE"), Flag.withDescription(description)))

export const modelArgument = Argument.String("MODEL").pipe(
  Argument.withDescription("A GGUF file; of a split model, any part")
)

export const textArgument = (name: string) =>
  Argument.String(name).pipe(Argument.withDescription("Text; - reads the standard input; after -- it may begin with -"))

export const jsonFlag = Flag.Boolean("json").pipe(
  Flag.withDescription("Print JSON on standard output, errors included"),
  Flag.withDefault(false)
)

export const profileFlag = Flag.Boolean("profile").pipe(
  Flag.withDescription("Show where the time of a token goes, stage by stage"),
  Flag.withDefault(false)
)

export const ctxFlag = optional(
  Flag.Int("ctx").pipe(
    Flag.withSchema(contextTokens),
    Flag.withDescription("Tokens a session holds, prompt and answer together; absent: what the model was made for")
  )
)

export const kvTypeFlag = optional(
  Flag.Literals("kv-type", cacheTypes).pipe(
    Flag.withDescription("Precision of the KV cache; q8_0 takes half of f16's memory; absent: f16")
  )
)

/** How the model is run, with a flag for each option of the plugins that are known. Absent flags leave the choice to the engine. */
export const engineFlags = (known: KnownOptions) => ({
  ctx: ctxFlag,
  kvType: kvTypeFlag,
  batch: optional(
    Flag.Int("batch").pipe(
      Flag.withSchema(batchRows),
      Flag.withDescription("Most tokens of one forward pass (prefill)")
    )
  ),
  predictor: optional(
    Flag.String("predictor").pipe(
      Flag.withMetavar("NAME[:OPTIONS]"),
      Flag.withDescription(
        `Which neurons to compute: a name of powerinfer plugin list (oracle_top_k:share=0.1), a path or a package; absent: exact_gate where the model can be sparse${howToSee("predictor", known)}`
      )
    )
  ),
  placement: optional(
    Flag.String("placement").pipe(
      Flag.withMetavar("NAME[:OPTIONS]"),
      Flag.withDescription(
        `Who holds which neurons: a name of powerinfer plugin list, a path or a package; absent: auto where there are several backends${howToSee("placement", known)}`
      )
    )
  ),
  backend: Flag.String("backend").pipe(
    Flag.withMetavar("NAME[:OPTIONS]"),
    Flag.between(0, 64),
    Flag.withDescription(
      `A device: a name of powerinfer plugin list, a path or a package; may be repeated; auto, or absent: a GPU where one answers, and the cpu${howToSee("backend", known)}`
    )
  ),
  pluginOptions: optionFlags(known),
  threads: optional(
    Flag.Int("threads").pipe(
      Flag.withSchema(count(0, 1024)),
      Flag.withDescription("Threads of backends that have them; 0 or absent: one a core")
    )
  ),
  isa: optional(
    Flag.Literals("isa", ["auto", "scalar", "avx2", "avx512", "avx512_vnni"]).pipe(
      Flag.withDescription("Instruction set of backends that have several; absent: the best this CPU has")
    )
  ),
  weights: optional(
    Flag.Literals("weights", ["resident", "mapped"]).pipe(
      Flag.withDescription(
        "Where backends that can choose read weights: resident copies them into memory first, which decodes faster; mapped reads the file in place, which starts at once; absent: resident"
      )
    )
  ),
  repack: optional(
    Flag.Boolean("repack").pipe(
      Flag.withDescription(
        "--no-repack: backends write no MODEL.down_by_neuron, and refuse predictors that need it where it is missing"
      )
    )
  ),
  vramBudget: optional(
    Flag.String("vram-budget").pipe(
      Flag.withMetavar("SIZE"),
      Flag.withDescription(
        "Memory of the GPU that weights, KV cache, predictors and workspace may take together: 8GiB, 500MB; absent: what is free, less a margin"
      )
    )
  ),
  checkPlugins: optional(
    Flag.Boolean("check-plugins").pipe(
      Flag.withDescription("Check every call of every plugin against its contract; slow")
    )
  ),
  file: optional(
    Flag.String("config").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription(
        `Settings in TOML, which flags override; a plugin named by a flag brings its own options; absent: ${defaultSettingsFile} where the command runs, if it is there`
      )
    )
    // It has been read: it names plugins, whose options are flags.
  ).pipe(Flag.map(() => known.file))
})

/** The help of a command line that names no plugin of the kind lists no options of it. */
const howToSee = (kind: PluginKind, known: KnownOptions): string =>
  known.fields[kind].length > 0 ? "" : `; --${kind} NAME --help lists its options, each a flag: --${kind}.KEY VALUE`

/** Flags that stand for the option of their name of every backend that has it. */
export const shorthands = ["threads", "isa", "weights", "repack", "vramBudget"] as const

/** As it is typed: --vram-budget. */
export const shorthandFlag = (key: (typeof shorthands)[number]): string => key.replace("B", "-b")

/** `engineFlags` as they were given. */
export interface EngineFlags {
  readonly threads: number | undefined
  readonly ctx: number | undefined
  readonly kvType: CacheType | undefined
  readonly batch: number | undefined
  readonly predictor: string | undefined
  readonly placement: string | undefined
  readonly backend: ReadonlyArray<string>
  readonly isa: string | undefined
  readonly weights: "resident" | "mapped" | undefined
  readonly repack: boolean | undefined
  readonly vramBudget?: string | undefined
  readonly checkPlugins?: boolean | undefined
  readonly pluginOptions?: GivenOptions
  readonly file?: SettingsFile | undefined
}

/** How text is drawn. Ranges and defaults are the engine's (`SamplerOptions`), which names them when one is broken. */
export const samplingFlags = {
  maxTokens: optional(
    Flag.Int("max-tokens").pipe(Flag.withDescription("Stop after this many tokens; absent: when the session is full"))
  ),
  temperature: optional(
    Flag.Finite("temperature").pipe(Flag.withDescription("0: always the most likely token; absent: 0.8"))
  ),
  topK: optional(Flag.Int("top-k").pipe(Flag.withDescription("Keep the k most likely tokens; 0: all; absent: 40"))),
  topP: optional(
    Flag.Finite("top-p").pipe(Flag.withDescription("Keep the most likely tokens up to this sum; absent: 0.95"))
  ),
  minP: optional(
    Flag.Finite("min-p").pipe(Flag.withDescription("Keep tokens this likely relative to the best; absent: 0.05"))
  ),
  repetitionPenalty: optional(
    Flag.Finite("repetition-penalty").pipe(Flag.withDescription("Divides the logits of recent tokens; absent: 1, off"))
  ),
  presencePenalty: optional(
    Flag.Finite("presence-penalty").pipe(
      Flag.withDescription("Subtracted from the logit of any recent token; absent: 0")
    )
  ),
  frequencyPenalty: optional(
    Flag.Finite("frequency-penalty").pipe(Flag.withDescription("Subtracted once per recent occurrence; absent: 0"))
  ),
  logitBias: Flag.KeyValuePair("logit-bias").pipe(
    Flag.withMetavar("ID=BIAS"),
    Flag.withDescription("Added to a token's logit, -Infinity forbids it; may be repeated"),
    Flag.withDefault({})
  ),
  seed: optional(
    Flag.Int("seed").pipe(Flag.withDescription("Same seed, same tokens; absent: drawn, and printed at the end"))
  ),
  stop: Flag.String("stop").pipe(
    Flag.between(0, 64),
    Flag.withDescription("Text that ends the generation and is not printed; may be repeated")
  )
}

/** `samplingFlags` as they were given. */
export interface SamplingFlags {
  readonly maxTokens: number | undefined
  readonly temperature: number | undefined
  readonly topK: number | undefined
  readonly topP: number | undefined
  readonly minP: number | undefined
  readonly repetitionPenalty: number | undefined
  readonly presencePenalty: number | undefined
  readonly frequencyPenalty: number | undefined
  readonly logitBias: Readonly<Record<string, string>>
  readonly seed: number | undefined
  readonly stop: ReadonlyArray<string>
}
