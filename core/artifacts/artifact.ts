// How is what one job writes and another reads kept? As a JSON file of a Schema that carries the hash of the model it was made for.
import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { fingerprintGguf } from "../gguf/fingerprint.ts"
import { attemptGguf, type GgufError } from "../gguf/gguf_error.ts"
import type { Model } from "../model/model.ts"
import { attemptWrite, type FileUnwritable, writeFully, writeWholeFile } from "../whole_file.ts"

/** An artifact is missing, damaged, or was written by another version. */
export class ArtifactUnreadable extends Schema.TaggedError<ArtifactUnreadable>()("ArtifactUnreadable", {
  artifact: Schema.String,
  path: Schema.String,
  reason: Schema.String,
  madeBy: Schema.String
}) {
  override get message() {
    return `Cannot read the ${this.artifact} ${this.path}: ${this.reason}; make it with ${this.madeBy}`
  }
}

/** An artifact was made for another model than the one it is used with. */
export class StaleArtifact extends Schema.TaggedError<StaleArtifact>()("StaleArtifact", {
  artifact: Schema.String,
  path: Schema.String,
  madeFor: Schema.String,
  model: Schema.String,
  madeBy: Schema.String
}) {
  override get message() {
    return `Cannot use the ${this.artifact} ${this.path}: it was made for ${this.madeFor}, this is ${this.model}; make it again with ${this.madeBy}`
  }
}

/** Whom an artifact was made for. */
export const ModelIdentity = Schema.Struct({
  name: Schema.String,
  /** Of `fingerprintGguf`: 64 hexadecimal digits. */
  fingerprint: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
})
export type ModelIdentity = typeof ModelIdentity.Type

/** Reads 64 samples of the model's files; fails if they have gone. */
export const identityOf = (model: Model): Effect.Effect<ModelIdentity, GgufError> =>
  Effect.map(
    attemptGguf(() => fingerprintGguf(model.gguf)),
    (fingerprint) => ({ name: model.name, fingerprint })
  )

/** How messages name a model: its name may be the same as another's, the hash is not. */
export const describeIdentity = ({ name, fingerprint }: ModelIdentity): string =>
  `${name} (${fingerprint.slice(0, 12)}…)`

/** A kind of artifact. */
export interface ArtifactKind<Content, Encoded extends object> {
  /** As messages name it: "activation profile". */
  readonly name: string
  /** The first key of the file: "powerinfer.activation_profile". */
  readonly format: string
  /** Raised when files of before can no longer be read. */
  readonly version: number
  /** The command that makes one, for messages. */
  readonly madeBy: string
  /** What it holds beside format, version and model. */
  readonly content: Schema.Codec<Content, Encoded>
}

/** Content, and the model it was made for. */
export type MadeFor<Content> = Content & { readonly model: ModelIdentity }

/** Reads and writes one kind of artifact. */
export interface ArtifactFile<Content> {
  /** Fails with `ArtifactUnreadable`; with `StaleArtifact` if it was made for another model than `model`, where one is given. */
  readonly read: (
    path: string,
    model?: Model
  ) => Effect.Effect<MadeFor<Content>, ArtifactUnreadable | StaleArtifact | GgufError>
  /** Under a temporary name first; the same values give the same bytes. */
  readonly write: (path: string, artifact: MadeFor<Content>) => Effect.Effect<void, FileUnwritable>
}

/** Defines a kind of artifact by the Schema of what it holds. */
export const defineArtifact = <Content extends object, Encoded extends object>(
  kind: ArtifactKind<Content, Encoded>
): ArtifactFile<Content> => {
  const { name: artifact, format, version, madeBy, content } = kind
  const Head = Schema.Struct({ format: Schema.Literal(format), version: Schema.Int, model: ModelIdentity })
  const unreadable = (path: string, reason: string) => new ArtifactUnreadable({ artifact, path, reason, madeBy })

  return {
    read: Effect.fnUntraced(function* (path, model) {
      const text = yield* Effect.try({
        try: () => readFileSync(path, "utf8"),
        catch: (cause) => unreadable(path, (cause as Error).message)
      })
      const json = yield* Effect.try({
        try: (): unknown => JSON.parse(text),
        catch: (cause) => unreadable(path, `it is no JSON (${(cause as Error).message})`)
      })
      const head = Schema.decodeUnknownResult(Head)(json)
      if (Result.isFailure(head)) return yield* unreadable(path, `it is no ${artifact}`)
      if (head.success.version !== version) {
        return yield* unreadable(path, `it has version ${head.success.version}, this program reads ${version}`)
      }
      const found = Schema.decodeUnknownResult(content)(json)
      if (Result.isFailure(found)) return yield* unreadable(path, `it is damaged: ${found.failure.message}`)
      if (model) yield* requireMadeFor({ artifact, path, madeBy }, head.success.model, model)
      return { ...found.success, model: head.success.model }
    }),
    write: (path, whole) =>
      writeWholeFile(path, (descriptor) =>
        attemptWrite(path, () => {
          const json = { format, version, model: whole.model, ...Schema.encodeSync(content)(whole) }
          writeFully(descriptor, new TextEncoder().encode(`${JSON.stringify(json)}\n`))
        })
      )
  }
}

/** Fails with `StaleArtifact` unless what carries `madeFor` was made for this model. */
export const requireMadeFor = Effect.fnUntraced(function* (
  of: { readonly artifact: string; readonly path: string; readonly madeBy: string },
  madeFor: ModelIdentity,
  model: Model
) {
  const actual = yield* identityOf(model)
  if (madeFor.fingerprint === actual.fingerprint) return
  return yield* new StaleArtifact({
    ...of,
    madeFor: describeIdentity(madeFor),
    model: describeIdentity(actual)
  })
})
