// bun bench/decode.ts FILE… --threads 1,2: how fast is prefill and decode, beside the floor that memory bandwidth sets?
//
// A row a file, number of threads and predictor. Repetitions are interleaved between predictors; rates are medians, with their range; bandwidth is
// measured just before and just after; what other processes took of the machine meanwhile stands in the last column.
import { Effect, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { benchModel } from "../apps/cli/commands/bench.ts"
import { InvalidUsage } from "../apps/cli/invalid_usage.ts"
import { print, printJson } from "../apps/cli/output.ts"
import { withProgress } from "../apps/cli/progress.ts"
import { formatBytes } from "../apps/cli/quantities.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { markdownTable, speedCells, speedColumns, speedJson } from "../apps/cli/speed_report.ts"
import { watchOtherLoad } from "./other_load.ts"

const positive = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 20 }))

const parseCounts = (text: string): Effect.Effect<ReadonlyArray<number>, InvalidUsage> =>
  /^\d{1,4}(,\d{1,4})*$/.test(text)
    ? Effect.succeed(text.split(",").map(Number))
    : Effect.fail(
        new InvalidUsage({ reason: `--threads is ${JSON.stringify(text)}; write numbers separated by commas: 1,2` })
      )

const command = Command.make(
  "decode",
  {
    files: Argument.String("FILE").pipe(Argument.variadic({ min: 1 })),
    threads: Flag.String("threads").pipe(Flag.withDescription("0: one a core"), Flag.withDefault("0")),
    predictors: Flag.String("predictors").pipe(
      Flag.withDescription("Separated by commas; absent: every_neuron, and exact_gate where the model can be sparse"),
      Flag.withDefault("")
    ),
    promptTokens: Flag.Int("prompt-tokens").pipe(Flag.withSchema(positive), Flag.withDefault(128)),
    tokens: Flag.Int("tokens").pipe(Flag.withSchema(positive), Flag.withDefault(64)),
    repetitions: Flag.Int("repetitions").pipe(Flag.withSchema(positive), Flag.withDefault(5)),
    json: Flag.Boolean("json").pipe(Flag.withDefault(false))
  },
  Effect.fnUntraced(function* (input) {
    const { promptTokens, tokens, repetitions } = input
    const predictors = input.predictors.split(",").filter((name) => name !== "")
    const rows: Array<ReadonlyArray<string>> = []
    const runs: Array<unknown> = []
    for (const file of input.files) {
      for (const threads of yield* parseCounts(input.threads)) {
        const otherLoad = watchOtherLoad()
        const { model, figures } = yield* withProgress(`Measuring ${file}, ${threads} threads`, (announce) =>
          Effect.scoped(
            benchModel({ ...defaults, model: file, threads, predictors, promptTokens, tokens, repetitions }, announce)
          )
        )
        const load = otherLoad()
        for (const one of figures) {
          const { median, min, max } = one.bandwidthBytesPerSecond
          const bandwidth = `${formatBytes(median)} (${formatBytes(min)}–${formatBytes(max)})`
          rows.push([model.name, String(threads), ...speedCells(one), bandwidth, load?.toFixed(2) ?? "unknown"])
          runs.push({ file, model: model.name, threads, ...speedJson(one), other_load_cores: load })
        }
      }
    }
    if (input.json) return yield* printJson({ promptTokens, tokens, repetitions, runs })
    const titles = ["model", "threads", ...speedColumns, "bandwidth/s", "cores busy for others"]
    yield* print(`${markdownTable([titles, ...rows])}\n`)
  })
).pipe(Command.withDescription("Measure prefill and decode of model files beside the floor"))

const defaults = {
  kvType: undefined,
  batch: undefined,
  placement: undefined,
  backend: [],
  isa: undefined,
  seed: 1,
  json: false
} as const

if (import.meta.main) runCommand(command)
