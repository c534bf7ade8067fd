// bun bench/busy.ts FILE…: what is left of decode when another process keeps one core busy?
//
//   bun bench/busy.ts 1b-Q4_0.gguf --threads 1,2 --peer --out busy
//
// Quiet and busy passes take turns, ours and the peer's. An even share is what t threads get of c cores when one more thread wants a core of its own:
// c / (t + 1) of their quiet speed, and all of it where a core is left over.
import { basename } from "node:path"
import { openModel, type Spread, spreadOf, writeSpeedText } from "@powerinfer/core"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { withProgress } from "../apps/cli/progress.ts"
import { formatRate, formatShare } from "../apps/cli/quantities.ts"
import { runCommand } from "../apps/cli/run_command.ts"
import { markdownTable } from "../apps/cli/speed_report.ts"
import { openBusyProcess } from "./busy_process.ts"
import { cacheType, openEngines } from "./engines.ts"
import { filesArgument, reportFlags, speedFlags } from "./flags.ts"
import { watchOtherLoad } from "./other_load.ts"
import { installPeer, type PeerCommand } from "./peer/install.ts"
import { measuredOn, publish } from "./report.ts"
import { measureInTurns } from "./turns.ts"

/** Tokens per second of one engine with and without company. */
interface BusySpeed {
  readonly file: string
  readonly threads: number
  readonly engine: string
  readonly quiet: Spread
  readonly busy: Spread
  readonly discardedCount: number
  readonly disturbedCount: number
}

/** Decode is what is asked about; it needs some text to start from. */
const promptTokens = 16

const { promptTokens: _promptTokens, ...flags } = speedFlags

interface BusyOptions {
  readonly threads: number
  readonly tokens: number
  readonly predictors: ReadonlyArray<string>
  readonly seed: number
  readonly repetitions: number
  readonly otherLoadMax: number
  readonly retriesMax: number
  readonly peer: PeerCommand | undefined
}

const measureFile = Effect.fnUntraced(function* (file: string, options: BusyOptions, announce: (line: string) => void) {
  const contextLength = promptTokens + options.tokens
  const model = yield* openModel(file)
  const { dense, engines, note } = yield* openEngines(model, file, { ...options, contextLength }, announce)
  const text = yield* writeSpeedText(dense.plan, { length: contextLength, seed: options.seed, cacheType })
  const competitor = yield* openBusyProcess
  const subjects = engines.flatMap((engine) => {
    const pass = engine.pass(text, promptTokens)
    const processes = [...engine.processes, competitor.processId]
    return [
      { pass, processes },
      { pass: competitor.during(pass), processes }
    ]
  })
  const measured = yield* measureInTurns(subjects, { ...options, probe: Effect.void, watch: watchOtherLoad })
  const decode = (subject: number) =>
    spreadOf(measured[subject]!.turns.map(({ result }) => result.decodeTokensPerSecond))
  const speeds = engines.map(({ name }, index): BusySpeed => {
    const [quiet, busy] = [measured[2 * index]!, measured[2 * index + 1]!]
    return {
      file: basename(file),
      threads: options.threads,
      engine: name,
      quiet: decode(2 * index),
      busy: decode(2 * index + 1),
      discardedCount: quiet.discardedCount + busy.discardedCount,
      disturbedCount: quiet.disturbedCount + busy.disturbedCount
    }
  })
  return { speeds, note }
}, Effect.scoped)

/** Of its quiet speed, what one more thread that wants a core leaves to `threads` threads. */
export const evenShare = (threads: number, cores: number): number => Math.min(1, cores / (threads + 1))

const titles = ["file", "threads", "engine", "quiet/s", "range", "busy/s", "range", "of quiet", "of an even share"]

const cells = ({ file, threads, engine, quiet, busy }: BusySpeed, cores: number): ReadonlyArray<string> => {
  const kept = busy.median / quiet.median
  const range = ({ min, max }: Spread) => `${formatRate(min)}–${formatRate(max)}`
  const [quietRate, busyRate] = [formatRate(quiet.median), formatRate(busy.median)]
  const speeds = [quietRate, range(quiet), busyRate, range(busy)]
  return [file, String(threads), engine, ...speeds, formatShare(kept), formatShare(kept / evenShare(threads, cores))]
}

const command = Command.make(
  "busy",
  { files: filesArgument, ...flags, ...reportFlags },
  Effect.fnUntraced(function* (input) {
    const { tokens, repetitions, seed, maxOtherLoad: otherLoadMax, retries: retriesMax } = input
    const machine = yield* measuredOn
    const results = yield* withProgress("Measuring", (announce) =>
      Effect.gen(function* () {
        const peer = input.peer ? yield* installPeer(announce) : undefined
        const measured: Array<Effect.Success<ReturnType<typeof measureFile>>> = []
        for (const file of input.files) {
          for (const threads of input.threads) {
            announce(`${basename(file)}: ${threads} threads`)
            measured.push(yield* measureFile(file, { ...input, threads, otherLoadMax, retriesMax, peer }, announce))
          }
        }
        return measured
      })
    )
    const runs = results.flatMap(({ speeds }) => speeds)
    const notes = [...new Set(results.flatMap(({ note }) => note ?? []))]
    const discarded = runs.reduce((sum, run) => sum + run.discardedCount, 0)
    const disturbed = runs.reduce((sum, run) => sum + run.disturbedCount, 0)
    const markdown = [
      `${machine.cpu}, ${machine.cores} cores, commit ${machine.commit}; ${tokens} tokens, medians of ${repetitions} passes; ${discarded} disturbed passes discarded, ${disturbed} kept`,
      "",
      markdownTable([titles, ...runs.map((run) => cells(run, machine.cores))]),
      ...notes.map((note) => `\n- ${note}`)
    ].join("\n")
    const json = {
      machine,
      settings: { prompt_tokens: promptTokens, tokens, repetitions, seed, max_other_load: otherLoadMax },
      notes,
      runs: runs.map((run) => ({
        file: run.file,
        threads: run.threads,
        engine: run.engine,
        quiet_tokens_per_s: run.quiet.median,
        quiet_tokens_per_s_range: [run.quiet.min, run.quiet.max],
        busy_tokens_per_s: run.busy.median,
        busy_tokens_per_s_range: [run.busy.min, run.busy.max],
        even_share: evenShare(run.threads, machine.cores),
        passes_discarded: run.discardedCount,
        passes_disturbed: run.disturbedCount
      }))
    }
    yield* publish({ json, markdown }, input)
  })
).pipe(
  Command.withDescription("Measure decode while another process keeps one core busy"),
  Command.withExamples([
    { command: "bun bench/busy.ts 1b-Q4_0.gguf --threads 1,2 --peer", description: "Beside llama.cpp" }
  ])
)

if (import.meta.main) runCommand(command)
