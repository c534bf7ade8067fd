// The main thread's side of the engine's worker: calls that are answered, generations that stream.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { PluginFault } from "../plugin_host/plugin_error.ts"
import { decodeEngineError, type EngineError, EngineDefect } from "./engine_error.ts"
import type { CheckedRequest, GenerationPart } from "./request.ts"
import type { RunnerOptions } from "./runner.ts"
import { takeWorker } from "./start_worker.ts"
import { openWatchdog } from "./watchdog.ts"
import { cancellationSlots, type EngineInfo, type FromWorker, type ToWorker } from "./worker_protocol.ts"

type Call = ToWorker & { readonly call: number }
type WithoutCall<Message> = Message extends Call ? Omit<Message, "call"> : never

export interface WorkerClient {
  readonly info: EngineInfo
  readonly call: (message: WithoutCall<Call>) => Effect.Effect<unknown, EngineError>
  readonly generate: (session: number, request: CheckedRequest, queue: GenerationQueue) => Effect.Effect<number>
  /** Stops a generation between two blocks; it ends with the reason `cancelled` if it has not ended yet. */
  readonly cancel: (generation: number) => Effect.Effect<void>
}

export type GenerationQueue = Queue.Enqueue<GenerationPart, EngineError | Cause.Done>

/** How long a closing engine may take to free its memory before its thread is ended: one batch of a large model. */
const closeTimeoutMs = 2000

/** Starts the worker and opens the model in it; closes both with the scope. */
export const openWorkerClient = Effect.fnUntraced(function* (
  options: RunnerOptions,
  announce: (line: string) => void
): Effect.fn.Return<WorkerClient, EngineError, Scope.Scope> {
  const calls = new Map<number, (result: Effect.Effect<unknown, EngineError>) => void>()
  const generations = new Map<number, GenerationQueue>()
  const cancelled = new Int32Array(new SharedArrayBuffer(cancellationSlots * 4))
  let lastNumber = 0
  let dead: EngineDefect | PluginFault | undefined

  const worker = yield* Effect.acquireRelease(Effect.sync(takeWorker), (worker) =>
    Effect.sync(() => worker.terminate())
  )
  const post = (message: ToWorker) => worker.postMessage(message)

  const endGeneration = (generation: number, end: (queue: GenerationQueue) => void): void => {
    const queue = generations.get(generation)
    generations.delete(generation)
    if (queue) end(queue)
  }
  const settle = (call: number, result: Effect.Effect<unknown, EngineError>): void => {
    calls.get(call)?.(result)
    calls.delete(call)
  }
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    switch (data.type) {
      case "answer":
        return settle(data.call, Effect.succeed(data.value))
      case "refusal":
        return settle(data.call, Effect.fail(decodeEngineError(data.error)))
      case "broken":
        return endGeneration(data.generation, (queue) =>
          Queue.failCauseUnsafe(queue, Cause.fail(decodeEngineError(data.error)))
        )
      case "announce":
        watchdog.hear()
        return announce(data.line)
      case "plugin_call":
        return watchdog.watch(data.call, data.timeoutMs)
      case "parts":
        for (const part of data.parts) {
          const queue = generations.get(data.generation)
          if (queue) Queue.offerUnsafe(queue, part)
          if (part.end) endGeneration(data.generation, Queue.endUnsafe)
        }
    }
  }
  /** Nobody is left to answer: everything that waits, and everything asked later, fails. */
  const bury = (error: EngineDefect | PluginFault): void => {
    dead ??= error
    for (const call of calls.keys()) settle(call, Effect.fail(error))
    for (const generation of generations.keys()) {
      endGeneration(generation, (queue) => Queue.failCauseUnsafe(queue, Cause.fail(error)))
    }
  }
  /** A plugin that never gives the thread back can only be ended with it. */
  const watchdog = openWatchdog((call, timeoutMs) => {
    worker.terminate()
    bury(new PluginFault({ ...call, reason: `it has not given its thread back for ${timeoutMs / 1000} s` }))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => watchdog.watch(undefined, 0)))
  worker.onerror = (event: ErrorEvent) => {
    event.preventDefault()
    bury(new EngineDefect({ detail: event.message }))
  }
  worker.addEventListener("close", () => bury(new EngineDefect({ detail: "its worker has ended" })))

  const call: WorkerClient["call"] = (message) =>
    Effect.callback<unknown, EngineError>((resume) => {
      if (dead) return resume(Effect.fail(dead))
      const number = ++lastNumber
      calls.set(number, resume)
      post({ ...message, call: number } as Call)
    })

  // Before opening, which takes long when something must be repacked and may be interrupted.
  yield* Effect.addFinalizer(() =>
    call({ type: "close" }).pipe(
      Effect.timeoutOption(closeTimeoutMs),
      Effect.ignore,
      Effect.andThen(Effect.sync(() => bury(new EngineDefect({ detail: "it was closed before this call" }))))
    )
  )
  const info = (yield* call({ type: "open", options, cancelled })) as EngineInfo

  return {
    info,
    call,
    generate: (session, request, queue) =>
      Effect.sync(() => {
        const generation = ++lastNumber
        generations.set(generation, queue)
        if (dead) bury(dead)
        post({ type: "generate", generation, session, request })
        return generation
      }),
    cancel: (generation) =>
      Effect.sync(() => {
        if (!generations.has(generation)) return
        Atomics.store(cancelled, generation % cancellationSlots, generation)
        post({ type: "cancel", generation })
      })
  }
})
