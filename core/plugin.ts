// What makes a backend, a predictor or a placement policy loadable by name? First-party plugins keep this contract and no other.
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { ArtifactUnreadable, StaleArtifact } from "./artifacts/artifact.ts"
import type { BackendFailure, Device, DeviceContext, NotEnoughMemory } from "./backend.ts"
import type { GgufError } from "./gguf/gguf_error.ts"
import type { Model } from "./model/model.ts"
import type { NativeLibraryError } from "./native/library.ts"
import type {
  DeviceFacts,
  MemoryAvailable,
  PlacementContext,
  PlacementImpossible,
  PlacementPlan,
  Workload
} from "./placement.ts"
import type { NeuronSelector, PredictorContext, PredictorRefusal, TrainingContext } from "./predictor.ts"

/** In the order in which they are listed. */
export const pluginKinds = ["placement", "predictor", "backend"] as const

export type PluginKind = (typeof pluginKinds)[number]

/** By kind: what a plugin is opened with, what it opens to, and how it may refuse. */
export interface PluginKinds {
  readonly backend: {
    readonly context: DeviceContext
    readonly opened: Device
    readonly refusal: BackendFailure | NotEnoughMemory | NativeLibraryError
  }
  readonly predictor: {
    readonly context: PredictorContext
    readonly opened: NeuronSelector
    readonly refusal: PredictorRefusal
  }
  readonly placement: {
    readonly context: PlacementContext
    readonly opened: PlacementPlan
    readonly refusal: PlacementImpossible | ArtifactUnreadable | StaleArtifact | GgufError
  }
}

/** Native code of a plugin: a shared library that exports the entry symbol of powerinfer_plugin.h. See `nativeKernels`. */
export interface PluginKernels {
  /** Where the library may lie, best first: built for this platform and shipped, or built on this machine. */
  readonly candidates: ReadonlyArray<string>
  /** What makes it, for messages. */
  readonly build: string
}

/** What plugins of all kinds have. */
interface PluginCommon<Kind extends PluginKind = PluginKind, Options = unknown, Encoded = unknown> {
  readonly kind: Kind
  readonly name: string
  readonly version: string
  readonly engine: string
  readonly module: string
  readonly options: Schema.Codec<Options, Encoded>
  // Methods, not properties: a plugin of known options is then also one of unknown ones, which its Schema decodes.
  open(
    options: Options,
    context: PluginKinds[Kind]["context"]
  ): Effect.Effect<PluginKinds[Kind]["opened"], PluginKinds[Kind]["refusal"], Scope.Scope>
  readonly kernels?: PluginKernels
}

/** Opens to a `Device`. */
export interface BackendPlugin<Options = unknown, Encoded = unknown> extends PluginCommon<"backend", Options, Encoded> {
  /** What a placement policy may know before anything is opened. Speeds only as far as they are known: nothing is measured here. */
  facts(options: Options, workload?: Workload): Effect.Effect<DeviceFacts, BackendFailure | NativeLibraryError>
  /** The same with speeds, which are measured where that has not been done, or `again`, and kept. Absent: the backend measures none. */
  measure?(
    options: Options,
    measuring: "once" | "again"
  ): Effect.Effect<DeviceFacts & Partial<MemoryAvailable>, BackendFailure | NativeLibraryError>
  /**
   * Of a backend whose devices a machine may have or not: what opens each that is here and answers, looked for without building anything; of `options` it
   * keeps what says where to look. Empty: what it needs is not installed. Absent: its options say what it is, and nobody looks for it.
   *
   * - `model`  only those that can run it
   * - fails    in the words of what is installed and does not work, or cannot run the model
   */
  devices?(options: Options, model?: Model): Effect.Effect<ReadonlyArray<Encoded>, BackendFailure | NativeLibraryError>
}

/** Opens to a `NeuronSelector`. */
export interface PredictorPlugin<Options = unknown, Encoded = unknown> extends PluginCommon<
  "predictor",
  Options,
  Encoded
> {
  /**
   * Learns from what a model does: writes what it learned to `context.out`, under a temporary name first, and returns the options that open it.
   * The same seed and rows give the same bytes.
   */
  train?(
    options: Options,
    context: TrainingContext
  ): Effect.Effect<Options, PluginKinds["predictor"]["refusal"], Scope.Scope>
}

/** Opens to a `PlacementPlan`. */
export interface PlacementPlugin<Options = unknown, Encoded = unknown> extends PluginCommon<
  "placement",
  Options,
  Encoded
> {}

interface PluginsByKind<Options, Encoded> {
  readonly backend: BackendPlugin<Options, Encoded>
  readonly predictor: PredictorPlugin<Options, Encoded>
  readonly placement: PlacementPlugin<Options, Encoded>
}

/**
 * A plugin as its module default-exports it.
 *
 * - `version`  of the plugin, as in its package.json
 * - `engine`   the versions of @powerinfer/core that it is written for: "^0.1.0"
 * - `module`   `import.meta.url`: the engine's worker imports it again
 * - `options`  a Schema: the flags of the command line, the keys of a settings file, and their validation; a `description` annotation is their help
 * - `open`     checks everything once and returns a plain, synchronous object; what it acquires is freed with the scope
 * - `kernels`  its native code, checked before `open` is called
 */
export type Plugin<Kind extends PluginKind = PluginKind, Options = unknown, Encoded = unknown> = PluginCommon<
  Kind,
  Options,
  Encoded
> &
  PluginsByKind<Options, Encoded>[Kind]

/** A plugin with its options, as it travels to the worker: plain data. */
export interface PluginUse<Kind extends PluginKind = PluginKind> {
  readonly kind: Kind
  readonly name: string
  readonly module: string
  readonly options: Readonly<Record<string, unknown>>
  /** Who gave an option, for reports: "--threads", the name of a file. */
  readonly optionsFrom?: Readonly<Record<string, string>>
}

/**
 * Defines a plugin.
 *
 * @example
 * ```ts
 * export default definePlugin({
 *   kind: "predictor",
 *   name: "first_half",
 *   version: "1.0.0",
 *   engine: "^0.1.0",
 *   module: import.meta.url,
 *   options: Schema.Struct({}),
 *   open: (_options, { model }) => Effect.succeed(selectorOf(model))
 * })
 * ```
 */
export const definePlugin: {
  <Options, Encoded>(plugin: PredictorPlugin<Options, Encoded>): PredictorPlugin<Options, Encoded>
  <Options, Encoded>(plugin: PlacementPlugin<Options, Encoded>): PlacementPlugin<Options, Encoded>
  <Options, Encoded>(plugin: BackendPlugin<Options, Encoded>): BackendPlugin<Options, Encoded>
} = <Defined extends Plugin>(plugin: Defined): Defined => plugin

/** Names a plugin and its options for an engine to open. Options are checked when it opens. */
export const usePlugin = <Kind extends PluginKind, Options, Encoded>(
  plugin: PluginCommon<Kind, Options, Encoded>,
  ...[options]: {} extends Encoded ? [options?: Encoded] : [options: Encoded]
): PluginUse<Kind> => ({ kind: plugin.kind, name: plugin.name, module: plugin.module, options: { ...options } })
