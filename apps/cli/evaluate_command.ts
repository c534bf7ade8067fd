// The flags of `powerinfer evaluate`.
import * as Schema from "effect/Schema"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { count } from "./flag_values.ts"
import { type engineFlags, jsonFlag, modelArgument, optional, optionalFile } from "./flags.ts"
import { lazily } from "./lazily.ts"

const seed = Schema.Int.check(Schema.isUint32())

/** A session is as long as a window. */
export const evaluateCommand = ({ ctx: _ctx, ...engine }: ReturnType<typeof engineFlags>) =>
  Command.make(
    "evaluate",
    {
      model: modelArgument,
      texts: Argument.String("TEXT").pipe(
        Argument.variadic({ min: 1 }),
        Argument.withDescription("Files of text the model has not seen; <|doc|> on a line of its own begins a document")
      ),
      ...engine,
      ctx: optional(
        Flag.Int("ctx").pipe(
          Flag.withSchema(count(2)),
          Flag.withDescription("Tokens of a window; absent: 512, or what the model was made for")
        )
      ),
      windows: optional(
        Flag.Int("windows").pipe(
          Flag.withSchema(count(1)),
          Flag.withDescription("Windows to run; absent: all of the text")
        )
      ),
      windowSeed: optional(
        Flag.Int("window-seed").pipe(
          Flag.withSchema(seed),
          Flag.withDescription("Draws the windows from the whole text; absent: those it begins with")
        )
      ),
      protocol: Flag.Literals("protocol", ["llama.cpp", "whole_windows"]).pipe(
        Flag.withDescription(
          "llama.cpp scores the second half of each window, as llama-perplexity does; whole_windows all of it; absent: llama.cpp"
        ),
        Flag.withDefault("llama.cpp" as const)
      ),
      seed: Flag.Int("seed").pipe(
        Flag.withSchema(seed),
        Flag.withDescription("Of the intervals; absent: 1"),
        Flag.withDefault(1)
      ),
      prompts: Flag.Int("prompts").pipe(
        Flag.withSchema(count(0)),
        Flag.withDescription("Windows from whose beginnings both runs write on; 0: none; absent: 8"),
        Flag.withDefault(8)
      ),
      decodeWindows: Flag.Int("decode-windows").pipe(
        Flag.withSchema(count(0)),
        Flag.withDescription("Windows in which tokens are decoded one by one, for bytes and speed; 0: none; absent: 4"),
        Flag.withDefault(4)
      ),
      selection: Flag.Boolean("selection").pipe(
        Flag.withDescription(
          "--no-selection: leave out recall and precision, which take as long as a dense gate and up"
        ),
        Flag.withDefault(true)
      ),
      out: optionalFile("out", "Where the evaluation is kept"),
      json: jsonFlag
    },
    lazily(async () => (await import("./commands/evaluate.ts")).evaluateFiles)
  ).pipe(
    Command.withDescription(
      "Measure how close a run with a predictor is to the dense run of the same file, which neurons it finds, and what it reads"
    ),
    Command.withExamples([
      {
        command: "powerinfer evaluate model.gguf valid.txt --predictor oracle_top_k:share=0.1 --windows 16",
        description: "Perplexity, KL divergence, recall and bytes of one predictor"
      }
    ])
  )
