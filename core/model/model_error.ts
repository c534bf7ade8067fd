// Which ways can a readable GGUF file be no model that we run, and what can the caller do about each?
import * as Schema from "effect/Schema"

/** The file holds a family that no file of architectures/ describes. */
export class UnsupportedArchitecture extends Schema.TaggedError<UnsupportedArchitecture>()("UnsupportedArchitecture", {
  architecture: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message() {
    return `Cannot run a model of the architecture "${this.architecture}": known are ${this.known.join(", ")}; choose a model of one of these`
  }
}

/** The family is known, but this model asks for something that would silently be computed wrong. */
export class UnsupportedFeature extends Schema.TaggedError<UnsupportedFeature>()("UnsupportedFeature", {
  path: Schema.String,
  feature: Schema.String
}) {
  override get message() {
    return `Cannot run ${this.path}: it has ${this.feature}, which is not supported; choose a variant of the model without it`
  }
}

/** A tensor is missing or does not fit the shape that the metadata states. */
export class InvalidModel extends Schema.TaggedError<InvalidModel>()("InvalidModel", {
  path: Schema.String,
  tensor: Schema.String,
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message() {
    return `Cannot use ${this.path}: tensor ${this.tensor} is ${this.actual}, the model needs ${this.expected}; convert or download it again`
  }
}

/** The classes of this file, for schemas that carry any of them. */
export const modelErrors = [UnsupportedArchitecture, UnsupportedFeature, InvalidModel] as const

/** Every way in which a readable file can be no model for us. */
export type ModelError = InstanceType<(typeof modelErrors)[number]>

/** True for the errors of this file. */
export const isModelError = (error: unknown): error is ModelError =>
  modelErrors.some((errorClass) => error instanceof errorClass)
