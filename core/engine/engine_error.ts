// Every way in which opening or using an engine can fail, and how such an error crosses from the worker.
import * as Schema from "effect/Schema"
import { ArtifactUnreadable, StaleArtifact } from "../artifacts/artifact.ts"
import { BackendFailure, NotEnoughMemory } from "../backend.ts"
import { ggufErrors } from "../gguf/gguf_error.ts"
import { modelErrors } from "../model/model_error.ts"
import { NativeLibraryError } from "../native/library.ts"
import { PlacementImpossible } from "../placement.ts"
import { PluginFault, PluginIncompatible, PluginUnavailable } from "../plugin_host/plugin_error.ts"
import { PredictorFailure, PredictorMismatch } from "../predictor.ts"
import { BiasOutsideVocabulary, UnusableLogits } from "../sampler/sampler.ts"
import { tokenizerErrors } from "../tokenizer/tokenizer_error.ts"
import { InvalidRequest, PromptTooLong, SessionBusy } from "./request.ts"
import { NoChatTemplate } from "./runner.ts"
import { CacheTypeUnsuited, ContextTooLong } from "./session.ts"

/** The worker died or threw something that is no typed error: a defect of the engine, or of a plugin that we could not name. */
export class EngineDefect extends Schema.TaggedError<EngineDefect>()("EngineDefect", { detail: Schema.String }) {
  override get message() {
    return `The engine failed: ${this.detail}; this is a defect of the engine or of a plugin, please report it`
  }
}

/** All of them, as a Schema: what crosses from the worker, and what `EngineError` means. */
export const EngineErrors = Schema.Union([
  ...ggufErrors,
  ...modelErrors,
  ...tokenizerErrors,
  PluginUnavailable,
  PluginIncompatible,
  PluginFault,
  PlacementImpossible,
  ArtifactUnreadable,
  StaleArtifact,
  PredictorMismatch,
  PredictorFailure,
  BackendFailure,
  NotEnoughMemory,
  NativeLibraryError,
  NoChatTemplate,
  InvalidRequest,
  PromptTooLong,
  ContextTooLong,
  CacheTypeUnsuited,
  SessionBusy,
  BiasOutsideVocabulary,
  UnusableLogits,
  EngineDefect
])

export type EngineError = typeof EngineErrors.Type

/** Plain data for postMessage. */
export type EncodedEngineError = typeof EngineErrors.Encoded

const isEngineError = Schema.is(EngineErrors)

/** Errors with a derived message do not have it in their stack. */
const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const stack = error.stack ?? ""
  return stack.includes(error.message) ? stack : `${error.message}\n${stack}`
}

/** Typed errors stay what they are; anything else becomes an `EngineDefect`. */
export const toEngineError = (error: unknown): EngineError =>
  isEngineError(error) ? error : new EngineDefect({ detail: describe(error) })

export const encodeEngineError = (error: unknown): EncodedEngineError =>
  Schema.encodeSync(EngineErrors)(toEngineError(error))
export const decodeEngineError = (encoded: EncodedEngineError): EngineError => Schema.decodeSync(EngineErrors)(encoded)
