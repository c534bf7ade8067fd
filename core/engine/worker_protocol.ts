// What the main thread and the engine's worker say to each other. Plain data only; cancellation alone is shared memory.
import type { PluginCall } from "../plugin_host/guard.ts"
import type { EncodedEngineError } from "./engine_error.ts"
import type { CheckedRequest, GenerationPart } from "./request.ts"
import type { RunnerOptions } from "./runner.ts"
import type { SessionOptions } from "./session.ts"

/** Facts of an opened engine. */
export interface EngineInfo {
  readonly model: string
  readonly family: string
  readonly vocabularySize: number
  /** Of sessions that ask for no length. */
  readonly contextLength: number
  readonly devices: ReadonlyArray<string>
  readonly hasChatTemplate: boolean
  /** `exact`: the tokens of the dense run. `measured`: the predictor may miss neurons. */
  readonly fidelity: "exact" | "measured"
}

/** Calls are answered by number. */
export type ToWorker =
  | { readonly type: "open"; readonly call: number; readonly options: RunnerOptions; readonly cancelled: Int32Array }
  | { readonly type: "session_open"; readonly call: number; readonly session: number; readonly options: SessionOptions }
  | { readonly type: "session_close"; readonly call: number; readonly session: number }
  | {
      readonly type: "generate"
      readonly generation: number
      readonly session: number
      readonly request: CheckedRequest
    }
  | { readonly type: "cancel"; readonly generation: number }
  | { readonly type: "encode"; readonly call: number; readonly text: string; readonly options: TextOptions }
  | { readonly type: "decode"; readonly call: number; readonly tokens: ReadonlyArray<number> }
  | { readonly type: "close"; readonly call: number }

export interface TextOptions {
  readonly addSpecial?: boolean
  readonly parseSpecial?: boolean
}

export type FromWorker =
  | { readonly type: "answer"; readonly call: number; readonly value: unknown }
  | { readonly type: "refusal"; readonly call: number; readonly error: EncodedEngineError }
  | { readonly type: "parts"; readonly generation: number; readonly parts: ReadonlyArray<GenerationPart> }
  | { readonly type: "broken"; readonly generation: number; readonly error: EncodedEngineError }
  | { readonly type: "announce"; readonly line: string }
  /** A call of a plugin begins, which may take so long before it gives a sign of life; without `call`: it is over. */
  | { readonly type: "plugin_call"; readonly call?: PluginCall; readonly timeoutMs: number }

/** Generations share this many cancellation flags: i32[slots], a generation's is its number modulo this. */
export const cancellationSlots = 1024
