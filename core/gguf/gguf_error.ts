// Which ways can reading a GGUF file fail, and what can the caller do about each?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** No file lies at `path`. */
export class FileNotFound extends Schema.TaggedError<FileNotFound>()("FileNotFound", { path: Schema.String }) {
  override get message() {
    return `Cannot open ${this.path}: there is no such file; check the path`
  }
}

/** `path` is a directory, a pipe or a device. */
export class NotAFile extends Schema.TaggedError<NotAFile>()("NotAFile", {
  path: Schema.String,
  actual: Schema.String
}) {
  override get message() {
    return `Cannot open ${this.path}: it is ${this.actual}; name a .gguf file`
  }
}

/** The operating system refused to open or read the file. */
export class FileUnreadable extends Schema.TaggedError<FileUnreadable>()("FileUnreadable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot read ${this.path}: ${this.reason}; check its permissions and the disk`
  }
}

/** The file does not begin with a known magic. `actual` shows its first bytes. */
export class NotGguf extends Schema.TaggedError<NotGguf>()("NotGguf", { path: Schema.String, actual: Schema.String }) {
  override get message() {
    return `Cannot read ${this.path}: it begins with ${this.actual}; a model file begins with "GGUF" or "PWRI"`
  }
}

/** The file is written in a version of the format other than 2 and 3. */
export class UnsupportedVersion extends Schema.TaggedError<UnsupportedVersion>()("UnsupportedVersion", {
  path: Schema.String,
  version: Schema.Number
}) {
  override get message() {
    return `Cannot read ${this.path}: it is GGUF version ${this.version}; convert the model to version 2 or 3`
  }
}

/** The file was written for a big-endian machine. */
export class BigEndianFile extends Schema.TaggedError<BigEndianFile>()("BigEndianFile", { path: Schema.String }) {
  override get message() {
    return `Cannot read ${this.path}: its numbers are big-endian; convert it to little-endian (gguf_convert_endian.py)`
  }
}

/** `what` reaches past the end of the file: an interrupted download, or a hostile length. `expectedBytes` is a lower bound. */
export class TruncatedFile extends Schema.TaggedError<TruncatedFile>()("TruncatedFile", {
  path: Schema.String,
  what: Schema.String,
  expectedBytes: Schema.Number,
  actualBytes: Schema.Number
}) {
  override get message() {
    return (
      `Cannot read ${this.path}: ${this.what} needs a file of at least ${this.expectedBytes} bytes, ` +
      `this one has ${this.actualBytes}; it is incomplete or damaged, download it again`
    )
  }
}

/** The bytes at `offset` break a rule of the format. */
export class MalformedGguf extends Schema.TaggedError<MalformedGguf>()("MalformedGguf", {
  path: Schema.String,
  offset: Schema.Number,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot read ${this.path}: ${this.reason} (near byte ${this.offset}); the file is damaged, download or convert it again`
  }
}

/** A tensor is stored in a type we do not compute with. `typeName` is null where ggml does not know the id either. */
export class UnsupportedTensorType extends Schema.TaggedError<UnsupportedTensorType>()("UnsupportedTensorType", {
  path: Schema.String,
  tensor: Schema.String,
  typeId: Schema.Number,
  typeName: Schema.NullOr(Schema.String),
  supported: Schema.Array(Schema.String)
}) {
  override get message() {
    const type = this.typeName === null ? `the unknown type ${this.typeId}` : `type ${this.typeName} (${this.typeId})`
    return `Cannot read ${this.path}: tensor ${this.tensor} has ${type}; requantize the model to one of ${this.supported.join(", ")}`
  }
}

/** The file names itself one of several parts, and a part is not there. */
export class MissingPart extends Schema.TaggedError<MissingPart>()("MissingPart", {
  path: Schema.String,
  part: Schema.Number,
  partCount: Schema.Number
}) {
  override get message() {
    return `Cannot open part ${this.part} of ${this.partCount}: ${this.path} is missing; put all parts into one directory`
  }
}

/** The parts of a split model do not belong together. */
export class InvalidSplit extends Schema.TaggedError<InvalidSplit>()("InvalidSplit", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot open ${this.path} as a part of a split model: ${this.reason}; download all parts again under their original names`
  }
}

/** A metadata key that the caller needs is absent. */
export class MissingMetadata extends Schema.TaggedError<MissingMetadata>()("MissingMetadata", {
  path: Schema.String,
  key: Schema.String
}) {
  override get message() {
    return `Cannot use ${this.path}: its metadata has no ${this.key}; convert the model again with a current converter`
  }
}

/** A metadata key has another type or range than the caller needs. */
export class InvalidMetadata extends Schema.TaggedError<InvalidMetadata>()("InvalidMetadata", {
  path: Schema.String,
  key: Schema.String,
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message() {
    return `Cannot use ${this.path}: its metadata key ${this.key} is ${this.actual}; it must be ${this.expected}`
  }
}

/** The classes of all `GgufError`s, for a Schema of what may cross a Worker or a process. */
export const ggufErrors = [
  FileNotFound,
  NotAFile,
  FileUnreadable,
  NotGguf,
  UnsupportedVersion,
  BigEndianFile,
  TruncatedFile,
  MalformedGguf,
  UnsupportedTensorType,
  MissingPart,
  InvalidSplit,
  MissingMetadata,
  InvalidMetadata
] as const

/** Every way in which a GGUF file, or what it says, can be unusable. */
export type GgufError = InstanceType<(typeof ggufErrors)[number]>

/** True for the errors of this file. */
export const isGgufError = (error: unknown): error is GgufError =>
  ggufErrors.some((errorClass) => error instanceof errorClass)

/**
 * Runs synchronous code that throws `GgufError`s (the parser, the accessors of `Metadata`, `readTensor`) as an Effect.
 *
 * - fails  with the `GgufError` that was thrown
 * - dies   with anything else: that is a bug, not a bad file
 */
export const attemptGguf = <A>(evaluate: () => A): Effect.Effect<A, GgufError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(evaluate())
    } catch (error) {
      return isGgufError(error) ? Effect.fail(error) : Effect.die(error)
    }
  })
