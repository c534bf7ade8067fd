// The engine as a service: sessions that turn prompts into streams of tokens.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type EngineError, toEngineError } from "./engine_error.ts"
import { checkRequest, checkSessionOptions, type GenerateRequest, type GenerationPart } from "./request.ts"
import type { RunnerOptions } from "./runner.ts"
import type { SessionOptions } from "./session.ts"
import { openWorkerClient, type WorkerClient } from "./worker_client.ts"
import type { TextOptions, EngineInfo } from "./worker_protocol.ts"

/** What an engine is opened with. `session` says what sessions are like unless they say otherwise. */
export interface EngineOptions extends RunnerOptions {
  readonly session?: SessionOptions
  /** Hears one line whenever opening does something that takes long or uses disk. */
  readonly announce?: (line: string) => void
}

/** A conversation: its KV cache lives as long as its scope. One generation at a time. */
export interface Session {
  readonly contextLength: number
  /** Continues the prompt. What it has in common with the session's previous tokens is not computed again. Ends when the consumer does. */
  readonly generate: (request: GenerateRequest) => Stream.Stream<GenerationPart, EngineError>
}

export interface EngineService {
  readonly info: EngineInfo
  /** Opens a session; any number of them share the model. */
  readonly session: (options?: SessionOptions) => Effect.Effect<Session, EngineError, Scope.Scope>
  /** One generation in a session of its own. */
  readonly generate: (request: GenerateRequest) => Stream.Stream<GenerationPart, EngineError>
  readonly encode: (text: string, options?: TextOptions) => Effect.Effect<ReadonlyArray<number>, EngineError>
  readonly decode: (tokens: ReadonlyArray<number>) => Effect.Effect<string, EngineError>
}

/** Runs one model. Its loop lives in a worker, so the calling thread stays free. */
export class Engine extends Context.Service<Engine, EngineService>()("@powerinfer/core/Engine") {
  /** Opens the model with the given plugins; closes it with the layer's scope. */
  static layerWith(options: EngineOptions): Layer.Layer<Engine, EngineError> {
    return Layer.effect(Engine, openEngine(options))
  }
}

/** Opens a model in a worker of its own. */
export const openEngine = Effect.fnUntraced(function* (
  options: EngineOptions
): Effect.fn.Return<EngineService, EngineError, Scope.Scope> {
  const { announce, ...rest } = options
  const sessionDefaults = options.session ?? {}
  const runner = { ...rest, session: sessionDefaults }
  const client = yield* openWorkerClient(runner, announce ?? (() => {}))
  let lastSession = 0

  const session: EngineService["session"] = Effect.fnUntraced(function* (sessionOptions) {
    const checked = yield* Effect.try({
      try: () => checkSessionOptions({ ...sessionDefaults, ...sessionOptions }),
      catch: toEngineError
    })
    const number = ++lastSession
    const contextLength = yield* Effect.acquireRelease(
      client.call({ type: "session_open", session: number, options: checked }),
      () => client.call({ type: "session_close", session: number }).pipe(Effect.ignore)
    )
    return { contextLength: contextLength as number, generate: (request) => streamOf(client, number, request) }
  })

  return {
    info: client.info,
    session,
    generate: (request) => Stream.unwrap(Effect.map(session(), (own) => own.generate(request))),
    encode: (text, encodeOptions = {}) =>
      client.call({ type: "encode", text, options: encodeOptions }) as Effect.Effect<
        ReadonlyArray<number>,
        EngineError
      >,
    decode: (tokens) => client.call({ type: "decode", tokens }) as Effect.Effect<string, EngineError>
  }
})

const streamOf = (client: WorkerClient, session: number, request: GenerateRequest) =>
  Stream.callback<GenerationPart, EngineError>(
    Effect.fnUntraced(function* (queue) {
      const checked = yield* Effect.try({ try: () => checkRequest(request), catch: toEngineError }).pipe(
        Effect.catch((error) => Effect.as(Queue.fail(queue, error), undefined))
      )
      if (!checked) return
      yield* Effect.acquireRelease(client.generate(session, checked, queue), client.cancel)
    })
  )
