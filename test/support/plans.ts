// Opens plans for tests: a model, devices by plugin, a predictor.
//
// Core knows no plugin, and its tests need none in particular: what has been taken away is replaced by a stand-in, or skipped visibly where
// a test is about the very plugin (`has`).
import {
  discoverPlugins,
  importPlugin,
  openModel,
  openPlan,
  type OpenPlan,
  pickPlugin,
  type PlanOptions,
  type PluginKind,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import { Effect, Option } from "effect"
import every from "./plugins/every.ts"
import onFirst from "./plugins/on_first.ts"

export const models = {
  f16: "models/relu-llama-7m/relu-llama-7m-f16.gguf",
  q8_0: "models/relu-llama-7m/relu-llama-7m-q8_0.gguf",
  q4_0: "models/relu-llama-7m/relu-llama-7m-q4_0.gguf"
} as const

const { plugins } = await Effect.runPromise(discoverPlugins(process.cwd()))

const ours = <Kind extends PluginKind>(kind: Kind, name: string): PluginUse<Kind> | undefined =>
  Option.getOrUndefined(Effect.runSync(Effect.option(pickPlugin(plugins, kind, name))))

/** Whether a plugin of ours is there. */
export const has = (kind: PluginKind, name: string): boolean => ours(kind, name) !== undefined
/** A plugin of ours, for tests that are about it. */
export const named = ours

const fast = ours("backend", "cpu")
const plain = ours("backend", "reference")

/** The cpu backend; the reference, whatever the options, where there is none. */
export const cpu = (options: Readonly<Record<string, unknown>> = { threads: 2 }): PluginUse<"backend"> =>
  fast ? { ...fast, options } : plain!
/** The reference backend; the cpu where there is none. */
export const reference: PluginUse<"backend"> = plain ?? fast!
/** The reference backend itself, for contract suites. */
export const oracle = await Effect.runPromise(importPlugin("backend", reference.name, reference.module))
export const everyNeuron = ours("predictor", "every_neuron") ?? usePlugin(every)
/** Undefined where it has been taken away. */
export const signBits = ours("predictor", "sign_bits")
export const exactGate = ours("predictor", "exact_gate") ?? usePlugin(every, { confirms: true })

export const planOptions = (options: Partial<PlanOptions> = {}): PlanOptions => ({
  backends: [cpu()],
  predictor: everyNeuron,
  placement: ours("placement", "single_device") ?? usePlugin(onFirst),
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
