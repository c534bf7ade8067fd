// What does training leave behind? A JSON file: readable, and small beside any model.
import { readFileSync } from "node:fs"
import { attemptWrite, writeFully, writeWholeFile } from "@powerinfer/core"
import { Effect, Schema } from "effect"

/** What was counted, and on which model. */
export interface Artifact {
  /** Of `fingerprintGguf`. */
  readonly fingerprint: string
  /** [block]: u32[ffn_width] */
  readonly counts: ReadonlyArray<Uint32Array>
}

const Written = Schema.Struct({
  predictor: Schema.Literal("frequent_neurons"),
  fingerprint: Schema.String,
  counts: Schema.Array(Schema.Array(Schema.Int.check(Schema.isUint32())))
})

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Written))

/** Fails with a sentence that names the file. */
export const readArtifact = (path: string): Effect.Effect<Artifact, string> =>
  Effect.try({ try: () => readFileSync(path, "utf8"), catch: (cause) => (cause as Error).message }).pipe(
    Effect.flatMap((text) =>
      Effect.mapError(decode(text), ({ message }) => `${path} is no artifact of it: ${message}`)
    ),
    Effect.map(({ fingerprint, counts }) => ({ fingerprint, counts: counts.map((block) => Uint32Array.from(block)) }))
  )

/** Writes the file under a temporary name first. */
export const writeArtifact = (path: string, { fingerprint, counts }: Artifact): Effect.Effect<void, string> => {
  const written: typeof Written.Encoded = {
    predictor: "frequent_neurons",
    fingerprint,
    counts: counts.map((block) => [...block])
  }
  const bytes = new TextEncoder().encode(`${JSON.stringify(written)}\n`)
  return writeWholeFile(path, (descriptor) => attemptWrite(path, () => writeFully(descriptor, bytes))).pipe(
    Effect.mapError(({ message }) => message)
  )
}
