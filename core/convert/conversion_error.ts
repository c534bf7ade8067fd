// Which ways can a file fail to become another, and what can the caller do about each?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type GgufError, isGgufError } from "../gguf/gguf_error.ts"

/** A file of another program breaks the rules of its format, or lacks what the conversion needs of it. */
export class ForeignFileInvalid extends Schema.TaggedError<ForeignFileInvalid>()("ForeignFileInvalid", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot convert ${this.path}: ${this.reason}; the file is damaged or of another kind, download or make it again`
  }
}

/** The input is sound, but what was asked for cannot be made of it. */
export class ConversionImpossible extends Schema.TaggedError<ConversionImpossible>()("ConversionImpossible", {
  path: Schema.String,
  reason: Schema.String,
  remedy: Schema.String
}) {
  override get message() {
    return `Cannot convert ${this.path}: ${this.reason}; ${this.remedy}`
  }
}

/** Every way in which a conversion can fail before anything is written, or while it reads. */
export type ConversionError = ForeignFileInvalid | ConversionImpossible | GgufError

const isConversionError = (error: unknown): error is ConversionError =>
  error instanceof ForeignFileInvalid || error instanceof ConversionImpossible || isGgufError(error)

/** Runs code that throws `ConversionError`s as an Effect; dies with anything else. */
export const attemptConversion = <A>(evaluate: () => A): Effect.Effect<A, ConversionError> =>
  conversionFailures(Effect.sync(evaluate))

/** What `effect` dies of becomes its failure, where it is a `ConversionError`: code that a writer calls back can only throw. */
export const conversionFailures = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ConversionError, R> =>
  Effect.catchDefect(effect, (defect) => (isConversionError(defect) ? Effect.fail(defect) : Effect.die(defect)))
