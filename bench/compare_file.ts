// How do the engines compare on one file? Opens them, lets them run the same text in turns, and says what came of it.
import { basename } from "node:path"
import {
  type BackendFailure,
  type BandwidthUnknown,
  type EngineError,
  type Model,
  openModel,
  sparsityFacts,
  speedFigures,
  type SpeedPass,
  spreadOf,
  writeSpeedText
} from "@powerinfer/core"
import { Effect } from "effect"
import type { InvalidUsage } from "../apps/cli/invalid_usage.ts"
import type { Comparison, EngineSpeed } from "./compare_report.ts"
import { type BenchEngine, cacheType, openEngines } from "./engines.ts"
import type { PeerCommand } from "./peer/install.ts"
import { measureInTurns, type TurnOptions, type Turns } from "./turns.ts"

/** Bytes per second that the threads read, from a buffer and from the model's file. */
export interface Bandwidth {
  readonly memory: number
  readonly mapped: number
}

export interface CompareOptions extends Omit<TurnOptions<Bandwidth, BackendFailure>, "probe"> {
  readonly threads: ReadonlyArray<number>
  readonly promptTokens: ReadonlyArray<number>
  readonly tokens: number
  readonly predictors: ReadonlyArray<string>
  readonly seed: number
  /** How the peer is started; undefined: without it. */
  readonly peer: PeerCommand | undefined
  readonly probe: (file: string, threads: number) => Effect.Effect<Bandwidth, EngineError | BandwidthUnknown>
}

/** What was measured, and what readers must know about it. */
export interface FileComparison {
  readonly comparisons: ReadonlyArray<Comparison>
  readonly notes: ReadonlyArray<string>
}

/** Measures a file with every number of threads and length of prompt. A peer that cannot load it is left out, with a note. */
export const compareFile = Effect.fnUntraced(function* (
  file: string,
  options: CompareOptions,
  announce: (line: string) => void
): Effect.fn.Return<FileComparison, EngineError | BandwidthUnknown | InvalidUsage> {
  const model = yield* openModel(file)
  const comparisons: Array<Comparison> = []
  const notes = new Set<string>()
  // The longest that is asked for; shorter prompts begin alike.
  let text: ReadonlyArray<number> | undefined
  const contextLength = Math.max(...options.promptTokens) + options.tokens
  for (const threads of options.threads) {
    const measured = Effect.gen(function* () {
      const { dense, engines, note } = yield* openEngines(model, file, { ...options, threads, contextLength }, announce)
      if (note) notes.add(note)
      const { seed } = options
      text ??= yield* writeSpeedText(dense.plan, { length: contextLength, seed, cacheType })
      for (const promptTokens of options.promptTokens) {
        const part = text.slice(0, promptTokens + options.tokens)
        announce(`${basename(file)}: ${threads} threads, a prompt of ${promptTokens}`)
        const turns = yield* measureInTurns(
          engines.map(({ pass, processes }) => ({ pass: pass(part, promptTokens), processes })),
          { ...options, probe: options.probe(file, threads) }
        )
        const speeds = engines.map((engine, index) => engineSpeed(engine, model, turns[index]!))
        comparisons.push({ file: basename(file), model: model.name, threads, promptTokens, engines: speeds })
      }
    })
    yield* Effect.scoped(measured)
  }
  return { comparisons, notes: [...notes] }
})

/** What the passes of one engine amount to. */
export const engineSpeed = (
  engine: BenchEngine,
  model: Model,
  { turns, ...counts }: Turns<SpeedPass, Bandwidth>
): EngineSpeed => {
  const probes = turns.flatMap(({ before, after }) => [before, after])
  const figures = speedFigures(
    sparsityFacts(model).tokenBytes,
    turns.map(({ result }) => result),
    probes.map(({ memory }) => memory)
  )
  const loads = turns.flatMap(({ otherLoad }) => (otherLoad === undefined ? [] : [otherLoad]))
  return {
    name: engine.name,
    role: engine.role,
    figures,
    mappedBandwidth: spreadOf(probes.map(({ mapped }) => mapped)),
    bound: engine.bound(figures.activeShare),
    otherLoad: loads.length > 0 ? loads.reduce((sum, load) => sum + load, 0) / loads.length : undefined,
    ...counts
  }
}
