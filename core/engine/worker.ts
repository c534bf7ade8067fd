// The worker's side of the engine: runs batches, and listens between them.
import { setImmediate } from "node:timers"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { encodeEngineError } from "./engine_error.ts"
import type { Generation } from "./generation.ts"
import type { OnPluginCall } from "./open_plan.ts"
import { type GenerationPart, InvalidRequest } from "./request.ts"
import { openRunner, type Runner } from "./runner.ts"
import { openSession, type SessionState } from "./session.ts"
import { cancellationSlots, type EngineInfo, type FromWorker, type ToWorker } from "./worker_protocol.ts"

const port = globalThis as unknown as {
  postMessage: (message: FromWorker) => void
  onmessage: (event: { readonly data: ToWorker }) => void
}

interface Opened {
  readonly runner: Runner
  readonly cancelled: Int32Array
}

const engineScope = Effect.runSync(Scope.make())
const sessions = new Map<number, { readonly state: SessionState; readonly scope: Scope.Closeable }>()
const generations = new Map<number, Generation>()
let opening: Fiber.Fiber<Runner, unknown> | undefined
let opened: Opened | undefined
let running = false

const numberOf = (generation: Generation): number | undefined =>
  [...generations].find(([, candidate]) => candidate === generation)?.[0]

const reportFailure = (generation: Generation, error: unknown): void => {
  const number = numberOf(generation)
  if (number === undefined) return
  generations.delete(number)
  port.postMessage({ type: "broken", generation: number, error: encodeEngineError(error) })
}

const isCancelled = (generation: number) =>
  Atomics.load(opened!.cancelled, generation % cancellationSlots) === generation

/** A batch is abandoned halfway only if nobody waits for any of it. */
const everyoneCancelled = () => [...generations.keys()].every(isCancelled)

/** Batches until nothing is to do, with a turn of the event loop after each, so that new requests join and cancelled ones leave. */
const run = async (): Promise<void> => {
  if (running || !opened) return
  running = true
  try {
    while (opened.runner.step(everyoneCancelled)) {
      await new Promise((resume) => setImmediate(resume))
      for (const [number, generation] of generations) if (isCancelled(number)) generation.finish("cancelled")
    }
  } catch (error) {
    // Not one generation's failure, which the runner reports: ours. Nobody shall wait forever for it.
    for (const generation of generations.values()) {
      generation.abandon()
      reportFailure(generation, error)
    }
  } finally {
    running = false
  }
}

const open = async (message: ToWorker & { readonly type: "open" }): Promise<EngineInfo> => {
  const announce = (line: string) => port.postMessage({ type: "announce", line })
  const calling: OnPluginCall = (call, timeoutMs) =>
    port.postMessage({ type: "plugin_call", ...(call && { call }), timeoutMs })
  opening = Effect.runFork(Scope.provide(openRunner(message.options, announce, reportFailure, calling), engineScope))
  const runner = await Effect.runPromise(Fiber.join(opening))
  opened = { runner, cancelled: message.cancelled }
  const { model, devices, selector } = runner.plan
  return {
    model: model.name,
    family: model.shape.family,
    vocabularySize: model.shape.vocabularySize,
    contextLength: runner.plan.contextLength,
    devices: devices.map((device) => device.name),
    hasChatTemplate: runner.chatTemplate !== undefined,
    fidelity: selector.exact ? "exact" : "measured"
  }
}

const generate = (message: ToWorker & { readonly type: "generate" }): void => {
  const { generation: number, request } = message
  const emit = (part: GenerationPart) => {
    if (part.end) generations.delete(number)
    port.postMessage({ type: "parts", generation: number, parts: [part] })
  }
  try {
    const session = sessions.get(message.session)
    if (!session) throw new InvalidRequest({ reason: "its session is closed; open another one" })
    generations.set(number, opened!.runner.start(session.state, request, emit))
  } catch (error) {
    port.postMessage({ type: "broken", generation: number, error: encodeEngineError(error) })
    return
  }
  void run()
}

const answer = async (message: ToWorker & { readonly call: number }): Promise<unknown> => {
  switch (message.type) {
    case "open":
      return open(message)
    case "session_open": {
      const scope = await Effect.runPromise(Scope.make())
      const state = await Effect.runPromise(Scope.provide(openSession(opened!.runner.plan, message.options), scope))
      sessions.set(message.session, { state, scope })
      return state.contextLength
    }
    case "session_close": {
      const session = sessions.get(message.session)
      sessions.delete(message.session)
      for (const generation of generations.values())
        if (generation.session === session?.state) generation.finish("cancelled")
      if (session) await Effect.runPromise(Scope.close(session.scope, Exit.void))
      return undefined
    }
    case "encode":
      return opened!.runner.tokenizer.encode(message.text, message.options)
    case "decode":
      return opened!.runner.tokenizer.decode(message.tokens)
    case "close":
      // An open that is still under way is undone: its temporary files go, its mappings close.
      if (opening) await Effect.runPromise(Fiber.interrupt(opening))
      for (const generation of generations.values()) generation.finish("cancelled")
      for (const { scope } of sessions.values()) await Effect.runPromise(Scope.close(scope, Exit.void))
      await Effect.runPromise(Scope.close(engineScope, Exit.void))
      return undefined
  }
}

port.onmessage = ({ data: message }) => {
  if (message.type === "generate") return generate(message)
  if (message.type === "cancel") {
    generations.get(message.generation)?.finish("cancelled")
    return
  }
  answer(message).then(
    (value) => port.postMessage({ type: "answer", call: message.call, value }),
    (error: unknown) => port.postMessage({ type: "refusal", call: message.call, error: encodeEngineError(error) })
  )
}

// Plugins import the main door: it is there before the first of them comes.
void import("../mod.ts")
