// Which devices, which share of each block on them, and who selects neurons: everything the token loop calls, opened and checked.
import * as Effect from "effect/Effect"
import { BackendFailure, type Device } from "../backend.ts"
import type { Model } from "../model/model.ts"
import type { PluginKind, PluginUse } from "../plugin.ts"
import { checkDeviceCalls, checkSelectorCalls } from "../plugin_host/check_calls.ts"
import {
  awaitAnswer,
  guardDevice,
  guardSelector,
  openGuarded,
  openTimeoutsMs,
  type PluginCall,
  pluginFault
} from "../plugin_host/guard.ts"
import type { PluginListing } from "../plugin_host/discover.ts"
import { type LoadedPlugin, loadPlugin } from "../plugin_host/load_plugin.ts"
import { openNamedPredictor } from "../plugin_host/named_predictor.ts"
import { PluginFault } from "../plugin_host/plugin_error.ts"
import {
  type ActivationProbe,
  type FfnThresholds,
  type NativeSelector,
  type NeuronSelector,
  type OpenPredictor,
  selectorOfBlock
} from "../predictor.ts"
import { type DivideNeurons, dividesBlocks, openDivision } from "./divide.ts"
import { placeOnDevices } from "./place_on_devices.ts"
import { openProfiler, type Profiler } from "./profiler.ts"
import type { SessionOptions } from "./session.ts"

/** What to open: plain data, so that it can travel to a worker. */
export interface PlanOptions {
  /** One or more; the placement policy says which is the home. */
  readonly backends: ReadonlyArray<PluginUse<"backend">>
  readonly predictor: PluginUse<"predictor">
  readonly placement: PluginUse<"placement">
  /** Plugins that other plugins may name: predictors that combine several do. Default: none. */
  readonly known?: ReadonlyArray<PluginListing>
  /** Most rows of one forward pass. */
  readonly rowCountMax: number
  /** Batches of more rows than this run dense when the predictor is exact: their rows together want most neurons anyway. */
  readonly sparseRowCountMax: number
  /** What sessions are like: where neurons are placed, room is left for the KV cache of one. Default: none is left. */
  readonly session?: SessionOptions
  /** Measures where the time of batches goes; default false. */
  readonly profile?: boolean
  /** Checks every call of every plugin against its contract; slow, for who writes one. Default false. */
  readonly checkPlugins?: boolean
  /** How long a plugin may take to open without a sign of life; default `openTimeoutsMs`. */
  readonly openTimeoutsMs?: { readonly [Kind in PluginKind]?: number }
}

/** Everything `forward` needs. Plain and synchronous; one batch at a time. */
export interface OpenPlan {
  readonly model: Model
  readonly devices: ReadonlyArray<Device>
  readonly home: Device
  readonly homeIndex: number
  readonly selector: NeuronSelector
  /** Bytes of its own weights that the predictor has read so far; the token loop adds to it. */
  readonly selections: { bytes: number }
  /** By block: who calls the native selector, if it is not the engine. */
  readonly selectedBy: ReadonlyArray<"holder" | "home" | "engine">
  /** [device_count], indices: devices that work beside the caller come first. */
  readonly startOrder: ReadonlyArray<number>
  /** The FFN drops candidates whose activation is zero: asked for by the selector, and useful for this model's activation. */
  readonly confirms: boolean
  readonly sparseRowCountMax: number
  readonly rowCountMax: number
  /** Of sessions that ask for no length: what the model was made for, or less where that does not fit. */
  readonly contextLength: number
  readonly divide: DivideNeurons
  /** Of a plan that was opened to be profiled. */
  readonly profiler: Profiler | undefined
}

/** Hears that a call of a plugin begins, which may take so long; undefined when it is over. */
export type OnPluginCall = (call: PluginCall | undefined, timeoutMs: number) => void

/** Opens a placed model on its devices. Everything is freed with the scope. */
export const openPlan = Effect.fnUntraced(function* (
  model: Model,
  options: PlanOptions,
  announce: (line: string) => void,
  calling: OnPluginCall = () => {}
) {
  const rowCountMax = options.rowCountMax
  const timeoutOf = (kind: PluginKind) => options.openTimeoutsMs?.[kind] ?? openTimeoutsMs[kind]
  const observed = <A, E, R>({ kind, name }: PluginUse, call: string, work: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => calling({ kind, name, call }, timeoutOf(kind))),
      () => work,
      () => Effect.sync(() => calling(undefined, 0))
    )
  const load = <Kind extends PluginKind>(use: PluginUse<Kind>) => observed(use, "import", loadPlugin(use))
  const open = <Kind extends PluginKind>(
    use: PluginUse<Kind>,
    loaded: LoadedPlugin<Kind>,
    context: OpeningContext<Kind>
  ) => observed(use, "open", openGuarded(loaded, context, timeoutOf(use.kind)))

  const backends = yield* Effect.forEach(options.backends, load)
  const placement = yield* load(options.placement)
  const predictor = yield* load(options.predictor)
  // The predictor opens first, because it takes memory and devices prepare for the kind of batches it causes; its probe speaks to a home that opens after it.
  let home: Device | undefined
  const probe: ActivationProbe = {
    activations: (block, hidden, into) => home!.activations(block, hidden, into)
  }
  const selectorName = predictor.plugin.name
  const openPredictor: OpenPredictor = openNamedPredictor(options.known ?? [], () => predictorContext)
  const predictorContext = { model, probe, rowCountMax, announce, openPredictor }
  const opened = yield* open(options.predictor, predictor, predictorContext)
  const guarded = yield* attemptCall({ kind: "predictor", name: selectorName, call: "open" }, () =>
    Effect.succeed(
      guardSelector(selectorName, options.checkPlugins ? checkSelectorCalls(selectorName, model.shape, opened) : opened)
    )
  )
  const factsFor = (contextLength: number) =>
    Effect.forEach(backends, ({ plugin, backend }, index) => {
      const workload = { model, rowCountMax, contextLength, selects: guarded.proposes === "some" }
      const call = { kind: "backend", name: plugin.name, call: "facts" } as const
      const answer = awaitAnswer(call, timeoutOf("backend"), () => backend.facts(workload))
      return observed(options.backends[index]!, "facts", answer)
    })
  const placed = yield* attemptCall({ kind: "placement", name: placement.plugin.name, call: "open" }, () =>
    placeOnDevices(
      { model, selector: guarded, rowCountMax, session: options.session },
      placement.plugin.name,
      factsFor,
      (context) => open(options.placement, placement, context),
      announce
    )
  )
  // Where zeros do not occur there is nothing to confirm, unless small magnitudes count as such.
  const confirms = guarded.confirms && (model.sparse || guarded.thresholds !== undefined)
  const candidates = dividesBlocks(placed.plan) ? "some" : guarded.proposes
  const sparse = candidates === "some" || confirms
  const { home: homeIndex, shares } = placed.plan
  const devices = yield* Effect.forEach(placed.devices, (chosen, index) => {
    const backend = backends[chosen]!
    const { name } = backend.plugin
    const context = {
      model,
      shares: shares.map((block) => block[index]!),
      home: index === homeIndex,
      rowCountMax,
      sparse,
      candidates,
      announce
    } as const
    return Effect.flatMap(open(options.backends[chosen]!, backend, context), (device) =>
      attemptCall({ kind: "backend", name, call: "open" }, () =>
        Effect.succeed(
          guardDevice(name, selectorName, options.checkPlugins ? checkDeviceCalls(name, model.shape, device) : device)
        )
      )
    )
  })
  if (confirms && guarded.thresholds) yield* setThresholds(devices, selectorName, guarded.thresholds, model)
  home = devices[homeIndex]!
  const keepsToShare = devices.map((device) => device.keepsToShare === true)
  const divide = openDivision(placed.plan, model.shape.ffnWidth, rowCountMax, keepsToShare)
  const prepared = yield* prepareSelectors(devices, guarded, model.shape.blockCount)
  const profiler = options.profile === true ? openProfiler(devices) : undefined
  const plan: OpenPlan = {
    model,
    devices,
    home,
    homeIndex,
    selector: profiler?.selector(guarded) ?? guarded,
    selections: { bytes: 0 },
    selectedBy: shares.map((ofBlock, block) => {
      const { native } = selectorOfBlock(guarded, block)
      const selects = (device: number) => native !== undefined && prepared[device]!.has(native)
      const holder = ofBlock.indexOf("all")
      if (holder >= 0) return selects(holder) ? "holder" : "engine"
      const atHome = selects(homeIndex) && devices[homeIndex]!.readSelected !== undefined
      return atHome ? "home" : "engine"
    }),
    startOrder: devices.map((_, index) => index).sort((a, b) => startsAt(devices[a]!) - startsAt(devices[b]!)),
    confirms,
    sparseRowCountMax: options.sparseRowCountMax,
    rowCountMax,
    contextLength: placed.contextLength,
    divide: profiler?.division(divide) ?? divide,
    profiler
  }
  return plan
})

/** Hands a predictor's thresholds to every device. */
const setThresholds = Effect.fnUntraced(function* (
  devices: ReadonlyArray<Device>,
  predictor: string,
  thresholds: ReadonlyArray<FfnThresholds>,
  { shape }: Model
) {
  if (thresholds.length !== shape.blockCount) {
    const reason = `it has thresholds for ${thresholds.length} blocks, the model has ${shape.blockCount}`
    return yield* new PluginFault({ kind: "predictor", name: predictor, call: "open", reason })
  }
  for (const device of devices) {
    if (device.useThresholds === undefined) {
      const reason = `it drops neurons whose activation is zero, not small ones as the predictor ${predictor} asks; choose another backend or predictor`
      return yield* new BackendFailure({ backend: device.name, reason })
    }
    for (const [block, ofBlock] of thresholds.entries()) {
      for (const values of [ofBlock.gate, ofBlock.activation]) {
        if (values === undefined || values.length === shape.ffnWidth) continue
        const reason = `block ${block} has ${values.length} thresholds for ${shape.ffnWidth} neurons`
        return yield* new PluginFault({ kind: "predictor", name: predictor, call: "open", reason })
      }
      device.useThresholds(block, ofBlock)
    }
  }
})

type OpeningContext<Kind extends PluginKind> = Parameters<LoadedPlugin<Kind>["open"]>[0]

/** What a plugin opened to is looked at for the first time: anything may be wrong with it. */
const attemptCall = <A, E, R>(call: PluginCall, look: () => Effect.Effect<A, E, R>) =>
  Effect.suspend(look).pipe(Effect.catchDefect((cause) => Effect.fail(pluginFault(call, cause))))

const startsAt = ({ asynchronous }: Device): number => (asynchronous ? 0 : 1)

/** By device: the native selectors that it can run. */
const prepareSelectors = Effect.fnUntraced(function* (
  devices: ReadonlyArray<Device>,
  selector: NeuronSelector,
  blockCount: number
) {
  const natives = new Set<NativeSelector>()
  for (let block = 0; block < blockCount; block++) {
    const { native } = selectorOfBlock(selector, block)
    if (native) natives.add(native)
  }
  const prepared: Array<ReadonlySet<NativeSelector>> = []
  for (const { startSelectedFfn, prepareSelector } of devices) {
    const runs = new Set<NativeSelector>()
    if (startSelectedFfn) {
      for (const native of natives)
        if (prepareSelector === undefined || (yield* prepareSelector(native))) runs.add(native)
    }
    prepared.push(runs)
  }
  return prepared
})
