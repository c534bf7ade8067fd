// Opens plans for tests: a model, devices by plugin, a predictor.
import { openModel, openPlan, type OpenPlan, type PlanOptions, type PluginUse, usePlugin } from "@powerinfer/core"
import backendCpu from "@powerinfer/backend-cpu"
import placementSingleDevice from "@powerinfer/placement-single-device"
import predictorEveryNeuron from "@powerinfer/predictor-every-neuron"
import predictorExactGate from "@powerinfer/predictor-exact-gate"
import { Effect } from "effect"

export const models = {
  f16: "models/relu-llama-7m/relu-llama-7m-f16.gguf",
  q8_0: "models/relu-llama-7m/relu-llama-7m-q8_0.gguf",
  q4_0: "models/relu-llama-7m/relu-llama-7m-q4_0.gguf"
} as const

export const cpu = (options: Readonly<Record<string, unknown>> = { threads: 2 }): PluginUse<"backend"> =>
  usePlugin(backendCpu, options)
export const everyNeuron = usePlugin(predictorEveryNeuron)
export const exactGate = usePlugin(predictorExactGate)

export const planOptions = (options: Partial<PlanOptions> = {}): PlanOptions => ({
  backends: [cpu()],
  predictor: everyNeuron,
  placement: usePlugin(placementSingleDevice),
  rowCountMax: 64,
  sparseRowCountMax: 8,
  ...options
})

/** Opens a plan, hands it to `use`, and frees it. */
export const withPlan = <A>(
  path: string,
  options: Partial<PlanOptions>,
  use: (plan: OpenPlan) => Promise<A> | A
): Promise<A> =>
  Effect.gen(function* () {
    const plan = yield* openPlan(yield* openModel(path), planOptions(options), () => {})
    return yield* Effect.promise(async () => use(plan))
  }).pipe(Effect.scoped, Effect.runPromise)
