// What stands between the engine and a plugin that misbehaves? A fault becomes an error that names the plugin and the call.
//
// Always on, because it costs nanoseconds a call. What costs more is in check_calls.ts, on request.
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Device } from "../backend.ts"
import { NativeCallFailed, Status } from "../native/status.ts"
import type { PluginKind, PluginKinds } from "../plugin.ts"
import { type NeuronSelector, withWrappedSelect } from "../predictor.ts"
import type { LoadedPlugin } from "./load_plugin.ts"
import { PluginFault } from "./plugin_error.ts"

/** A call of a plugin that is under way. */
export interface PluginCall {
  readonly kind: PluginKind
  readonly name: string
  readonly call: string
}

/** How long each kind may take to open without a sign of life, in ms: backends read whole models, predictors their weights, policies solve. */
export const openTimeoutsMs: { readonly [Kind in PluginKind]: number } = {
  backend: 900_000,
  predictor: 300_000,
  placement: 120_000
}

/** What was thrown, as the plugin's fault, unless it already is one. */
export const pluginFault = (call: PluginCall, cause: unknown): PluginFault =>
  cause instanceof PluginFault ? cause : new PluginFault({ ...call, reason: describe(cause) })

/** The message, and the place in the plugin that it comes from. */
const describe = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const place = /^\s*at (.*)$/m.exec(cause.stack ?? "")?.[1]
  return place === undefined ? cause.message : `${cause.message} (at ${place})`
}

/** Opens a plugin; what it announces is a sign of life. Fails as `awaitAnswer` does. */
export const openGuarded = <Kind extends PluginKind>(
  { plugin, open }: LoadedPlugin<Kind>,
  context: PluginKinds[Kind]["context"],
  timeoutMs: number
): Effect.Effect<PluginKinds[Kind]["opened"], PluginKinds[Kind]["refusal"] | PluginFault, Scope.Scope> =>
  awaitAnswer({ kind: plugin.kind, name: plugin.name, call: "open" }, timeoutMs, (hear) => open(hearing(context, hear)))

/**
 * What a plugin answers: what it throws, and a silence of `timeoutMs`, is a `PluginFault`. Its own refusals stay what they are.
 *
 * Only a call that waits can be ended here. One that never gives the thread back is ended with the worker it runs in.
 */
export const awaitAnswer = <A, E, R>(
  call: PluginCall,
  timeoutMs: number,
  run: (hear: () => void) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | PluginFault, R> => {
  let lastSign = 0
  const hear = () => void (lastSign = Date.now())
  const silence = Effect.gen(function* () {
    hear()
    for (;;) {
      const left = lastSign + timeoutMs - Date.now()
      if (left <= 0) return yield* new PluginFault({ ...call, reason: `it has not answered for ${timeoutMs / 1000} s` })
      yield* Effect.sleep(left)
    }
  })
  const answer = Effect.suspend(() => run(hear)).pipe(
    Effect.catchDefect((cause) => Effect.fail(pluginFault(call, cause)))
  )
  return Effect.raceFirst(answer, silence)
}

/** The context, whose `announce` is a sign of life. */
export const hearing = <Context extends object>(context: Context, hear: () => void): Context => {
  if (!("announce" in context)) return context
  const announce = context.announce as (line: string) => void
  return {
    ...context,
    announce: (line: string) => {
      hear()
      announce(line)
    }
  }
}

/** The selector, whose faults have a name. */
export const guardSelector = (name: string, selector: NeuronSelector): NeuronSelector => {
  const call: PluginCall = { kind: "predictor", name, call: "select" }
  const whatIsWrong = selectorShape(selector)
  if (whatIsWrong !== undefined) throw new PluginFault({ ...call, call: "open", reason: whatIsWrong })
  const select: NeuronSelector["select"] = (block, hidden, active, batch) => {
    try {
      selector.select(block, hidden, active, batch)
    } catch (cause) {
      throw pluginFault(call, cause)
    }
    if (active.rowCount !== hidden.rowCount) {
      throw new PluginFault({
        ...call,
        reason: `it set rowCount to ${active.rowCount}; the batch has ${hidden.rowCount} rows`
      })
    }
    const stray = active.strayRow()
    if (stray >= 0) {
      const reason = `it named neurons at ${active.ffnWidth} or above for row ${stray} of block ${block}; the block has ${active.ffnWidth}`
      throw new PluginFault({ ...call, reason })
    }
  }
  return withWrappedSelect(selector, select)
}

const selectorShape = (selector: NeuronSelector): string | undefined => {
  if (typeof selector !== "object" || selector === null) return `it opened to ${String(selector)}, which is no selector`
  for (const { proposes } of [selector, ...(selector.blocks ?? [])]) {
    if (proposes !== "every" && proposes !== "some") {
      return `its selector proposes ${String(proposes)}; "every" or "some" is wanted`
    }
  }
  if (typeof selector.confirms !== "boolean" || typeof selector.exact !== "boolean") {
    return "its selector does not say whether it confirms and whether it is exact"
  }
  return typeof selector.select === "function" ? undefined : "its selector has no function select"
}

const deviceFunctions = [
  "openCache",
  "embed",
  "attend",
  "activations",
  "startFfn",
  "mergeFfn",
  "logits",
  "counters"
] as const

/**
 * The device, whose faults have a name.
 *
 * - `selectorName`  of the predictor that `startSelectedFfn` calls
 */
export const guardDevice = (name: string, selectorName: string, device: Device): Device => {
  const whatIsWrong = deviceShape(device)
  if (whatIsWrong !== undefined) throw new PluginFault({ kind: "backend", name, call: "open", reason: whatIsWrong })
  const failed = (call: string, cause: unknown): PluginFault =>
    call === "startSelectedFfn" && cause instanceof NativeCallFailed && cause.status === Status.pluginFailed
      ? pluginFault({ kind: "predictor", name: selectorName, call: "select" }, cause)
      : pluginFault({ kind: "backend", name, call }, cause)
  /** Of any function of a device: none takes more than four arguments, and a rest parameter would allocate in the token loop. */
  const guarded = <F extends (...given: ReadonlyArray<never>) => unknown>(call: string, run: F): F => {
    const plain = run as unknown as (this: Device, a: unknown, b: unknown, c: unknown, d: unknown) => unknown
    return ((a: unknown, b: unknown, c: unknown, d: unknown) => {
      try {
        return plain.call(device, a, b, c, d)
      } catch (cause) {
        throw failed(call, cause)
      }
    }) as unknown as F
  }
  const { startSelectedFfn, prepareSelector, readSelected, useThresholds, asynchronous, keepsToShare, profile } = device
  return {
    name: device.name,
    openCache: (positionCount, type) =>
      Effect.suspend(() => device.openCache(positionCount, type)).pipe(
        Effect.catchDefect((cause) => Effect.die(failed("openCache", cause)))
      ),
    embed: guarded("embed", device.embed),
    attend: guarded("attend", device.attend),
    activations: guarded("activations", device.activations),
    startFfn: guarded("startFfn", device.startFfn),
    ...(startSelectedFfn && { startSelectedFfn: guarded("startSelectedFfn", startSelectedFfn) }),
    ...(prepareSelector && {
      prepareSelector: (selector) =>
        Effect.suspend(() => prepareSelector(selector)).pipe(
          Effect.catchDefect((cause) => Effect.die(failed("prepareSelector", cause)))
        )
    }),
    ...(readSelected && { readSelected: guarded("readSelected", readSelected) }),
    ...(useThresholds && { useThresholds: guarded("useThresholds", useThresholds) }),
    ...(asynchronous && { asynchronous }),
    ...(keepsToShare && { keepsToShare }),
    mergeFfn: guarded("mergeFfn", device.mergeFfn),
    logits: guarded("logits", device.logits),
    counters: guarded("counters", device.counters),
    ...(profile && { profile })
  }
}

const deviceShape = (device: Device): string | undefined => {
  if (typeof device !== "object" || device === null) return `it opened to ${String(device)}, which is no device`
  const missing = deviceFunctions.filter((name) => typeof device[name] !== "function")
  return missing.length > 0 ? `its device lacks ${missing.join(", ")}` : undefined
}
