// bun bench/compare.ts FILE…: how fast is prefill and decode of ours and of llama.cpp, beside the floor that memory bandwidth sets?
//
//   bun bench/compare.ts 1b-Q8_0.gguf --threads 1,2 --prompt-tokens 128,512 --peer --out report
//   bun bench/compare.ts 1b-Q8_0.gguf --predictors exact_gate,./bench/replayed_oracle.ts --repetitions 9
//
// All engines run the same text of the same file in turns, A B C A B C; around each pass the bandwidth is probed, and a pass that other processes
// disturbed is repeated. `--peer` fetches llama.cpp into build/peer on first use.
import { Effect } from "effect"
import { Command } from "effect/cli"
import { measureBandwidth } from "@powerinfer/core"
import { withProgress } from "../apps/cli/progress.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { compareFile, type FileComparison } from "./compare_file.ts"
import { compareJson, compareMarkdown } from "./compare_report.ts"
import { filesArgument, reportFlags, speedFlags } from "./flags.ts"
import { watchOtherLoad } from "./other_load.ts"
import { installPeer } from "./peer/install.ts"
import { measuredOn, publish } from "./report.ts"

/** Twice through the file: the first pass faults its pages in and does not count. */
const probe = Effect.fnUntraced(function* (file: string, threads: number) {
  const memory = yield* measureBandwidth({ threads })
  return { memory, mapped: yield* measureBandwidth({ threads, file, repetitions: 2 }) }
})

const command = Command.make(
  "compare",
  { files: filesArgument, ...speedFlags, ...reportFlags },
  Effect.fnUntraced(function* (input) {
    const { promptTokens, tokens, repetitions, seed, maxOtherLoad, retries } = input
    const machine = yield* measuredOn
    const measured = yield* withProgress("Measuring", (announce) =>
      Effect.gen(function* () {
        const peer = input.peer ? yield* installPeer(announce) : undefined
        const options = {
          ...input,
          peer,
          probe,
          watch: watchOtherLoad,
          otherLoadMax: maxOtherLoad,
          retriesMax: retries
        }
        const results: Array<FileComparison> = []
        for (const file of input.files) results.push(yield* compareFile(file, options, announce))
        return results
      })
    )
    const report = {
      machine,
      settings: {
        prompt_tokens: promptTokens.join(),
        tokens,
        repetitions,
        seed,
        max_other_load: maxOtherLoad,
        retries
      },
      notes: measured.flatMap(({ notes }) => notes),
      comparisons: measured.flatMap(({ comparisons }) => comparisons)
    }
    yield* publish({ json: compareJson(report), markdown: compareMarkdown(report) }, input)
  })
).pipe(
  Command.withDescription("Measure prefill and decode of model files, ours and llama.cpp's, beside the floor"),
  Command.withExamples([
    {
      command: "bun bench/compare.ts 1b-Q8_0.gguf --threads 1,2 --prompt-tokens 128,512 --peer --out report",
      description: "Beside llama.cpp"
    },
    {
      command: "bun bench/compare.ts 1b-Q8_0.gguf --predictors exact_gate,./bench/replayed_oracle.ts",
      description: "The exact gate and a perfect predictor, against their bounds"
    }
  ])
)

if (import.meta.main) runCommand(command)
