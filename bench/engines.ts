// What is compared? Our engine with each predictor, and the peer: all run the same text and say the same things about it.
import { basename } from "node:path"
import {
  type BackendFailure,
  type EngineError,
  estimateMemory,
  type Model,
  openPlan,
  type OpenPlan,
  runSpeedPass,
  sparsityFacts,
  type SpeedPass,
  toEngineError
} from "@powerinfer/core"
import { Effect, Result, type Scope } from "effect"
import { engineOptions } from "../apps/cli/engine_settings.ts"
import type { InvalidUsage } from "../apps/cli/invalid_usage.ts"
import { selectionBound } from "./bounds.ts"
import type { PeerCommand } from "./peer/install.ts"
import { openPeer, type PeerSeconds } from "./peer/peer_process.ts"

/** An engine with its model loaded. */
export interface BenchEngine {
  readonly name: string
  /** `dense`: ours with every neuron. */
  readonly role: "dense" | "sparse" | "peer"
  /** Ids of the processes it works in, beside this one. */
  readonly processes: ReadonlyArray<number>
  /** Runs the text from an empty F16 KV cache: a prompt of `promptTokens`, then the rest one token at a time. */
  readonly pass: (text: ReadonlyArray<number>, promptTokens: number) => Effect.Effect<SpeedPass, EngineError>
  /** The bound on its decode speed, relative to dense, where it has one. */
  readonly bound: (activeShare: number) => number | undefined
}

/** Ours, and the plan that it runs. */
export interface OurEngine extends BenchEngine {
  readonly plan: OpenPlan
}

/** What llama.cpp has by default. */
export const cacheType = "f16"

/** Opens the model with each predictor, `every_neuron` first. */
const openOurs = Effect.fnUntraced(function* (
  model: Model,
  file: string,
  { threads, predictors }: { readonly threads: number; readonly predictors: ReadonlyArray<string> },
  announce: (line: string) => void
): Effect.fn.Return<ReadonlyArray<OurEngine>, EngineError | InvalidUsage, Scope.Scope> {
  const wanted = new Set(["every_neuron", ...(predictors.length > 0 || !model.sparse ? predictors : ["exact_gate"])])
  return yield* Effect.forEach(
    wanted,
    Effect.fnUntraced(function* (predictor) {
      const options = yield* engineOptions(file, { ...cpuFlags, threads, predictor })
      const plan = yield* openPlan(model, options, announce)
      const { name, options: given } = options.predictor
      const engine: OurEngine = {
        // A path says less than the name it leads to.
        name: Object.keys(given).length > 0 ? predictor : name,
        role: name === "every_neuron" ? "dense" : "sparse",
        processes: [],
        pass: (text, promptTokens) =>
          runSpeedPass(plan, text, { promptTokens, cacheType }).pipe(Effect.mapError(toEngineError)),
        bound: (activeShare) =>
          selectionBound(sparsityFacts(model), { ...plan.selector, confirms: plan.confirms }, activeShare),
        plan
      }
      return engine
    })
  )
})

const cpuFlags = {
  ctx: undefined,
  kvType: undefined,
  batch: undefined,
  placement: undefined,
  backend: [],
  isa: undefined,
  weights: undefined,
  repack: undefined
} as const

/** Loads the model into the peer. Fails if it does not know the model. */
const openPeerEngine = Effect.fnUntraced(function* (
  command: PeerCommand,
  model: Model,
  file: string,
  { threads, contextLength }: { readonly threads: number; readonly contextLength: number }
): Effect.fn.Return<BenchEngine, BackendFailure, Scope.Scope> {
  const peer = yield* openPeer(command(file, threads, contextLength))
  return {
    name: `llama.cpp ${peer.version}`,
    role: "peer",
    processes: [peer.processId],
    pass: (text, promptTokens) =>
      Effect.map(peer.run(text, promptTokens), (seconds) => peerPass(model, seconds, text.length, promptTokens)),
    bound: () => undefined
  }
})

/** It counts no bytes. It is dense: it reads every weight and the KV cache up to each token's position. */
export const peerPass = (model: Model, seconds: PeerSeconds, textLength: number, promptTokens: number): SpeedPass => {
  const decodeTokens = textLength - promptTokens
  const meanDepth = promptTokens + (decodeTokens + 1) / 2
  return {
    prefillTokensPerSecond: promptTokens / seconds.prefillSeconds,
    decodeTokensPerSecond: decodeTokens / seconds.decodeSeconds,
    weightBytesPerToken: sparsityFacts(model).tokenBytes,
    predictorBytesPerToken: 0,
    cacheBytesPerToken: estimateMemory(model, { contextLength: meanDepth, cacheType, rowCountMax: 0 }).cacheBytes,
    activeShare: 1
  }
}

/** Everything that is compared on one file, our dense run first and the peer beside it. */
export interface OpenEngines {
  readonly dense: OurEngine
  readonly engines: ReadonlyArray<BenchEngine>
  /** What readers must know about the peer's figures, if anything. */
  readonly note: string | undefined
}

/** Opens ours and, if it is given, the peer. A peer that cannot load the file is left out, with a note. */
export const openEngines = Effect.fnUntraced(function* (
  model: Model,
  file: string,
  options: {
    readonly threads: number
    readonly predictors: ReadonlyArray<string>
    /** Of the longest text. */
    readonly contextLength: number
    readonly peer: PeerCommand | undefined
  },
  announce: (line: string) => void
): Effect.fn.Return<OpenEngines, EngineError | InvalidUsage, Scope.Scope> {
  const ours = yield* openOurs(model, file, options, announce)
  const [dense, ...sparse] = ours as readonly [OurEngine, ...ReadonlyArray<OurEngine>]
  if (!options.peer) return { dense, engines: ours, note: undefined }
  const peer = yield* Effect.result(openPeerEngine(options.peer, model, file, options))
  if (Result.isSuccess(peer)) return { dense, engines: [dense, peer.success, ...sparse], note: peerNote(model, file) }
  // The first line says why, those after it who noticed.
  const [reason] = peer.failure.reason.split("\n")
  const note = `${basename(file)}: measured without llama.cpp, which does not load it (${reason})`
  return { dense, engines: ours, note }
})

const peerNote = (model: Model, file: string): string | undefined => {
  const activation = model.gguf.metadata.string("llama.hidden_activation", "silu")
  if (activation === "silu") return undefined
  return `${basename(file)}: llama.cpp does not read llama.hidden_activation (${activation}) and runs SiLU. It reads the same bytes, so its dense speed compares; its tokens do not.`
}
