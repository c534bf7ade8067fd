// Which devices, which share of each block on them, and who selects neurons: everything the token loop calls, opened and checked.
import { Effect } from "effect"
import type { Device } from "../backend.ts"
import type { Model } from "../model/model.ts"
import { checkPlan } from "../plan.ts"
import { loadPlugin, type PluginUse } from "../plugin.ts"
import type { ActivationProbe, NeuronSelector } from "../predictor.ts"
import { type DivideNeurons, dividesBlocks, openDivision } from "./divide.ts"
import { openProfiler, type Profiler } from "./profiler.ts"

/** What to open: plain data, so that it can travel to a worker. */
export interface PlanOptions {
  /** One or more; the placement policy says which is the home. */
  readonly backends: ReadonlyArray<PluginUse<"backend">>
  readonly predictor: PluginUse<"predictor">
  readonly placement: PluginUse<"placement">
  /** Most rows of one forward pass. */
  readonly rowCountMax: number
  /** Batches of more rows than this run dense when the predictor is exact: their rows together want most neurons anyway. */
  readonly sparseRowCountMax: number
  /** Measures where the time of batches goes; default false. */
  readonly profile?: boolean
}

/** Everything `forward` needs. Plain and synchronous; one batch at a time. */
export interface OpenPlan {
  readonly model: Model
  readonly devices: ReadonlyArray<Device>
  readonly home: Device
  readonly homeIndex: number
  readonly selector: NeuronSelector
  /** The FFN drops candidates whose activation is zero: asked for by the selector, and useful for this model's activation. */
  readonly confirms: boolean
  readonly sparseRowCountMax: number
  readonly rowCountMax: number
  readonly divide: DivideNeurons
  /** Of a plan that was opened to be profiled. */
  readonly profiler: Profiler | undefined
}

/** Opens a placed model on its devices. Everything is freed with the scope. */
export const openPlan = Effect.fnUntraced(function* (
  model: Model,
  options: PlanOptions,
  announce: (line: string) => void
) {
  const backends = yield* Effect.forEach(options.backends, loadPlugin)
  const placement = yield* loadPlugin(options.placement)
  const predictor = yield* loadPlugin(options.predictor)
  const facts = yield* Effect.forEach(backends, (backend) => backend.facts)
  const placed = yield* placement.place(model.shape, facts)
  yield* checkPlan(placed, model.shape, backends.length)

  // The predictor opens first, because devices prepare for the kind of batches it causes; its probe speaks to a home that opens after it.
  let home: Device | undefined
  const probe: ActivationProbe = {
    activations: (block, hidden, into) => home!.activations(block, hidden, into)
  }
  const rowCountMax = options.rowCountMax
  const selector = yield* predictor.open({ model, probe, rowCountMax })
  const confirms = selector.confirms && model.sparse
  const candidates = dividesBlocks(placed) ? "some" : selector.proposes
  const sparse = candidates === "some" || confirms
  const devices = yield* Effect.forEach(backends, (backend, index) =>
    backend.open({
      model,
      shares: placed.shares.map((block) => block[index]!),
      home: index === placed.home,
      rowCountMax,
      sparse,
      candidates,
      announce
    })
  )
  home = devices[placed.home]!
  const divide = openDivision(placed, model.shape.ffnWidth, rowCountMax)
  const profiler = options.profile === true ? openProfiler(devices) : undefined
  const plan: OpenPlan = {
    model,
    devices,
    home,
    homeIndex: placed.home,
    selector: profiler?.selector(selector) ?? selector,
    confirms,
    sparseRowCountMax: options.sparseRowCountMax,
    rowCountMax,
    divide: profiler?.division(divide) ?? divide,
    profiler
  }
  return plan
})
