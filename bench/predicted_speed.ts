// bun bench/predicted_speed.ts FILE…: how well does the speed model predict runs that it was not fitted to?
//
//   bun bench/predicted_speed.ts 1b-Q4_0.gguf --threads 2 --repetitions 9
//
// In turns, round after round: short runs after a short prompt, dense and with the exact gate, which the model is fitted to; then, after a longer prompt,
// the runs that are predicted: these two again, and a perfect predictor (replayed_oracle.ts), which reads single rows of all three matrices.
import { basename } from "node:path"
import {
  type FittedSpeed,
  fitSpeed,
  idleShare,
  type MeasuredDecode,
  type Model,
  openModel,
  openPlan,
  type OpenPlan,
  ownedBy,
  predictSpeed,
  runSpeedPass,
  type Selection,
  sharesOf,
  spreadOf,
  writeSpeedText
} from "@powerinfer/core"
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { engineOptions } from "../apps/cli/engine_settings.ts"
import { withProgress } from "../apps/cli/progress.ts"
import { formatRate, formatShare } from "../apps/cli/quantities.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { markdownTable } from "../apps/cli/speed_report.ts"
import { filesArgument, positive, reportFlags } from "./flags.ts"
import { measuredOn, publish } from "./report.ts"

const cacheType = "f16"

/** One run that was predicted. */
export interface PredictedRun {
  readonly file: string
  readonly run: string
  readonly fittedTo: string
  readonly predicted: number
  readonly measured: number
}

/** Predicted over measured, less 1. */
export const errorOf = ({ predicted, measured }: Pick<PredictedRun, "predicted" | "measured">): number =>
  predicted / measured - 1

interface MeasureOptions {
  readonly threads: number
  readonly repetitions: number
  readonly tokens: number
  readonly shortPrompt: number
  readonly longPrompt: number
}

const runs = ["every_neuron", "exact_gate", "./bench/replayed_oracle.ts"] as const

const openRun = Effect.fnUntraced(function* (
  file: string,
  model: Model,
  predictor: string,
  threads: number,
  announce: (line: string) => void
) {
  const flags = { kvType: undefined, batch: undefined, placement: undefined, backend: [], isa: undefined } as const
  const more = { ctx: undefined, weights: undefined, repack: undefined, profile: true } as const
  return yield* openPlan(model, yield* engineOptions(file, { ...flags, ...more, predictor, threads }), announce)
})

const measureFile = Effect.fnUntraced(function* (
  file: string,
  options: MeasureOptions,
  announce: (line: string) => void
) {
  const { repetitions, tokens, shortPrompt, longPrompt } = options
  const model = yield* openModel(file)
  const plans = yield* Effect.forEach(runs, (run) => openRun(file, model, run, options.threads, announce))
  const text = yield* writeSpeedText(plans[0]!, { length: longPrompt + tokens, cacheType, seed: 1 })
  const passOf = (plan: OpenPlan, promptTokens: number) =>
    runSpeedPass(plan, text.slice(0, promptTokens + tokens), { promptTokens, cacheType })
  // Warm: pages, clocks, and what the oracle remembers of both prompts.
  for (const plan of plans) for (const prompt of [shortPrompt, longPrompt]) yield* passOf(plan, prompt)
  for (const plan of plans) plan.profiler?.start()
  const seconds = runs.map(() => ({ short: new Array<number>(), long: new Array<number>(), activeShare: 0 }))
  for (let round = 0; round < repetitions; round++) {
    for (const [index, plan] of plans.entries()) {
      const [short, long] = [yield* passOf(plan, shortPrompt), yield* passOf(plan, longPrompt)]
      seconds[index]!.short.push(1 / short.decodeTokensPerSecond)
      seconds[index]!.long.push(1 / long.decodeTokensPerSecond)
      seconds[index]!.activeShare = short.activeShare
    }
  }

  const [dense, gate, oracle] = seconds
  const fitted = (one: (typeof seconds)[number], plan: OpenPlan): MeasuredDecode => ({
    selection: { proposes: plan.selector.proposes, confirms: plan.confirms },
    secondsPerToken: spreadOf(one.short).median,
    overheadSeconds: spreadOf(one.short).median * idleShare(plan.profiler?.read()),
    activeShare: one.activeShare
  })
  const depth = { cacheType, cachePositions: shortPrompt + Math.floor(tokens / 2) } as const
  const ofDense = fitted(dense!, plans[0]!)
  const alone = fitSpeed(model, depth, ofDense)
  const both = fitSpeed(model, depth, ofDense, fitted(gate!, plans[1]!))
  const predict = (speed: FittedSpeed, selection: Selection) =>
    predictedRate(model, speed, selection, gate!.activeShare, longPrompt + Math.floor(tokens / 2))
  const row = (
    run: string,
    fittedTo: string,
    speed: FittedSpeed,
    selection: Selection,
    one: (typeof seconds)[number]
  ) => ({
    file: basename(file),
    run,
    fittedTo,
    predicted: predict(speed, selection),
    measured: 1 / spreadOf(one.long).median
  })
  const everyOne = { proposes: "every", confirms: false } as const
  const exactGate = { proposes: "every", confirms: true } as const
  const perfect = { proposes: "some", confirms: false } as const
  const predicted: ReadonlyArray<PredictedRun> = [
    row("every_neuron", "every_neuron", alone, everyOne, dense!),
    row("exact_gate", "every_neuron", alone, exactGate, gate!),
    row("exact_gate", "every_neuron, exact_gate", both, exactGate, gate!),
    row("replayed_oracle", "every_neuron, exact_gate", both, perfect, oracle!)
  ]
  return predicted
}, Effect.scoped)

const predictedRate = (
  model: Model,
  speed: FittedSpeed,
  selection: Selection,
  activeShare: number,
  cachePositions: number
): number => {
  const { blockCount, ffnWidth } = model.shape
  return predictSpeed({
    model,
    plan: { home: 0, shares: sharesOf(ownedBy(0, blockCount, ffnWidth), 1) },
    devices: [{ name: "cpu", memoryBytes: 0, ...speed }],
    frequencies: Array.from({ length: blockCount }, () => new Float64Array(ffnWidth).fill(activeShare)),
    selection,
    cacheType,
    cachePositions
  })!.tokensPerSecond
}

const titles = ["file", "run", "fitted to", "predicted, tokens/s", "measured", "error"]

const command = Command.make(
  "predicted_speed",
  {
    files: filesArgument,
    threads: Flag.Int("threads").pipe(Flag.withSchema(positive), Flag.withDefault(2)),
    repetitions: Flag.Int("repetitions").pipe(Flag.withSchema(positive), Flag.withDefault(9)),
    tokens: Flag.Int("tokens").pipe(
      Flag.withSchema(positive),
      Flag.withDescription("Decoded in every pass; absent: 32"),
      Flag.withDefault(32)
    ),
    shortPrompt: Flag.Int("short-prompt").pipe(Flag.withSchema(positive), Flag.withDefault(16)),
    longPrompt: Flag.Int("long-prompt").pipe(Flag.withSchema(positive), Flag.withDefault(128)),
    ...reportFlags
  },
  Effect.fnUntraced(function* ({ files, json, out, ...options }) {
    const machine = yield* measuredOn
    const measured = yield* withProgress("Measuring", (announce) =>
      Effect.forEach(files, (file) => measureFile(file, options, announce))
    )
    const rows = measured.flat()
    const markdown = [
      `${machine.cpu}, ${machine.cores} cores, commit ${machine.commit}; ${options.threads} threads, fitted after a prompt of ${options.shortPrompt}, predicted after one of ${options.longPrompt}, medians of ${options.repetitions} passes of ${options.tokens} tokens`,
      "",
      markdownTable([
        titles,
        ...rows.map((row) => [
          row.file,
          row.run,
          row.fittedTo,
          formatRate(row.predicted),
          formatRate(row.measured),
          `${errorOf(row) < 0 ? "−" : "+"}${formatShare(Math.abs(errorOf(row)))}`
        ])
      ])
    ].join("\n")
    const runsJson = rows.map((row) => ({
      file: row.file,
      run: row.run,
      fitted_to: row.fittedTo,
      predicted_tokens_per_s: row.predicted,
      measured_tokens_per_s: row.measured,
      error: errorOf(row)
    }))
    yield* publish({ json: { machine, settings: options, runs: runsJson }, markdown }, { json, out })
  })
).pipe(
  Command.withDescription("Compare predicted with measured decoding, for runs that the speed model was not fitted to"),
  Command.withExamples([
    { command: "bun bench/predicted_speed.ts 1b-Q4_0.gguf --threads 2", description: "Dense, exact gate, oracle" }
  ])
)

if (import.meta.main) runCommand(command)
