// bun bench/open.ts FILE…: how long does a model take to open, and how much memory does it take to run?
//
//   bun bench/open.ts 7b-Q4_0.gguf --predictor exact_gate
//
// Each repetition is a process of its own, which opens the engine in its worker as `powerinfer generate` does, generates some tokens and says how much of
// it is resident. The first one does not count: it leaves the file in the page cache, and repacks where that is needed.
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { basename } from "node:path"
import { estimateMemory, openEngine, openModel, type Spread, spreadOf } from "@powerinfer/core"
import { Effect, Schema, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { engineOptions } from "../apps/cli/engine_settings.ts"
import { printJson } from "../apps/cli/output.ts"
import { withProgress } from "../apps/cli/progress.ts"
import { formatBytes } from "../apps/cli/quantities.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { markdownTable } from "../apps/cli/speed_report.ts"
import { filesArgument, positive, reportFlags } from "./flags.ts"
import { measuredOn, publish } from "./report.ts"

/** What one process says of itself. */
const Opened = Schema.Struct({
  openSeconds: Schema.Finite,
  /** Of its own memory, and with the pages of mapped files that it has read. */
  anonymousBytes: Schema.Finite,
  residentBytes: Schema.Finite
})

interface OpenOptions {
  readonly threads: number
  readonly predictor: string
  readonly weights: "resident" | "mapped"
  readonly ctx: number
  readonly tokens: number
}

/** Opens, generates, and looks at this process. */
const openHere = Effect.fnUntraced(function* (file: string, { tokens, ...flags }: OpenOptions) {
  const start = performance.now()
  const engine = yield* openEngine(yield* engineOptions(file, { ...cpuFlags, ...flags }))
  const openSeconds = (performance.now() - start) / 1000
  const request = { prompt: [1], maxTokens: tokens, ignoreEndOfText: true, sampling: { seed: 1 } }
  yield* Stream.runDrain(engine.generate(request))
  const { anonymousBytes, residentBytes } = residentMemory(readFileSync("/proc/self/status", "utf8"))
  return { openSeconds, anonymousBytes, residentBytes }
}, Effect.scoped)

const cpuFlags = {
  kvType: undefined,
  batch: undefined,
  placement: undefined,
  backend: [],
  isa: undefined,
  repack: undefined
} as const

/** Source: proc_pid_status(5). */
export const residentMemory = (status: string) => {
  const bytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024
  return { anonymousBytes: bytes("RssAnon"), residentBytes: bytes("VmRSS") }
}

/** The same in a process of its own. */
const openApart = (file: string, { threads, predictor, weights, ctx, tokens }: OpenOptions) =>
  Effect.callback<string>((resume) => {
    const numbers = ["--threads", String(threads), "--ctx", String(ctx), "--tokens", String(tokens)]
    const args = [import.meta.filename, file, "--here", "--predictor", predictor, "--weights", weights, ...numbers]
    const child = execFile(process.execPath, args, (error, stdout, stderr) => {
      resume(error ? Effect.die(new Error(`A process that opens ${file} failed: ${stderr}`)) : Effect.succeed(stdout))
    })
    return Effect.sync(() => void child.kill())
  }).pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.fromJsonString(Opened))), Effect.orDie)

const measureFile = Effect.fnUntraced(function* (file: string, options: OpenOptions, repetitions: number) {
  const model = yield* openModel(file)
  const { weightBytes, cacheBytes } = estimateMemory(model, {
    contextLength: options.ctx,
    cacheType: "f16",
    rowCountMax: 0
  })
  yield* openApart(file, options)
  const opened = yield* Effect.replicateEffect(openApart(file, options), repetitions)
  return {
    file: basename(file),
    weightBytes,
    cacheBytes,
    openSeconds: spreadOf(opened.map((one) => one.openSeconds)),
    anonymousBytes: spreadOf(opened.map((one) => one.anonymousBytes)),
    residentBytes: spreadOf(opened.map((one) => one.residentBytes))
  }
})

const titles = [
  "file",
  "open, s",
  "range",
  "weights",
  "KV cache",
  "resident",
  "of it anonymous",
  "beyond weights and cache"
]

const cells = (run: Effect.Success<ReturnType<typeof measureFile>>): ReadonlyArray<string> => {
  const beyond = run.residentBytes.median - run.weightBytes - run.cacheBytes
  return [
    run.file,
    run.openSeconds.median.toFixed(3),
    `${run.openSeconds.min.toFixed(3)}–${run.openSeconds.max.toFixed(3)}`,
    formatBytes(run.weightBytes),
    formatBytes(run.cacheBytes),
    formatBytes(run.residentBytes.median),
    formatBytes(run.anonymousBytes.median),
    `${beyond < 0 ? "−" : ""}${formatBytes(Math.abs(beyond))}`
  ]
}

const rangeOf = ({ min, max }: Spread) => [min, max]

const command = Command.make(
  "open",
  {
    files: filesArgument,
    threads: Flag.Int("threads").pipe(Flag.withSchema(positive), Flag.withDefault(availableParallelism())),
    predictor: Flag.String("predictor").pipe(
      Flag.withDescription("Absent: every_neuron, which repacks nothing"),
      Flag.withDefault("every_neuron")
    ),
    weights: Flag.Literals("weights", ["resident", "mapped"]).pipe(
      Flag.withDescription("Absent: resident, which copies them when the model is opened"),
      Flag.withDefault("resident" as const)
    ),
    ctx: Flag.Int("ctx").pipe(
      Flag.withSchema(positive),
      Flag.withDescription("Tokens of the session; absent: 512"),
      Flag.withDefault(512)
    ),
    tokens: Flag.Int("tokens").pipe(
      Flag.withSchema(positive),
      Flag.withDescription("Tokens generated before memory is looked at; absent: 32"),
      Flag.withDefault(32)
    ),
    repetitions: Flag.Int("repetitions").pipe(Flag.withSchema(positive), Flag.withDefault(5)),
    here: Flag.Boolean("here").pipe(
      Flag.withDescription("Open one file in this process and print what it takes, as JSON"),
      Flag.withDefault(false)
    ),
    ...reportFlags
  },
  Effect.fnUntraced(function* ({ files, here, repetitions, json, out, ...options }) {
    if (here) return yield* printJson(yield* openHere(files[0]!, options))
    const machine = yield* measuredOn
    const runs = yield* withProgress("Measuring", () =>
      Effect.forEach(files, (file) => measureFile(file, options, repetitions))
    )
    const { threads, predictor, weights, ctx, tokens } = options
    const settings = { threads, predictor, weights, ctx, tokens, repetitions }
    const markdown = [
      `${machine.cpu}, ${machine.cores} cores, commit ${machine.commit}; ${predictor}, weights ${weights}, ${threads} threads, a session of ${ctx}, ${tokens} tokens generated; medians of ${repetitions} processes`,
      "",
      markdownTable([titles, ...runs.map(cells)])
    ].join("\n")
    const runsJson = runs.map((run) => ({
      file: run.file,
      open_s: run.openSeconds.median,
      open_s_range: rangeOf(run.openSeconds),
      weight_bytes: run.weightBytes,
      cache_bytes: run.cacheBytes,
      resident_bytes: run.residentBytes.median,
      resident_bytes_range: rangeOf(run.residentBytes),
      anonymous_bytes: run.anonymousBytes.median
    }))
    yield* publish({ json: { machine, settings, runs: runsJson }, markdown }, { json, out })
  })
).pipe(
  Command.withDescription("Measure how long a model takes to open, and the memory that it takes to run"),
  Command.withExamples([
    {
      command: "bun bench/open.ts 7b-Q4_0.gguf --predictor exact_gate",
      description: "With down by neuron, from its cache file"
    }
  ])
)

if (import.meta.main) runCommand(command)
