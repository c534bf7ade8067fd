// How is a TOML file read, so that a mistake in it is named by file, place and what to write?
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { FileNotFound, FileUnreadable } from "powerinfer"
import { InvalidUsage } from "./invalid_usage.ts"

/** Reads and parses. Fails with `FileNotFound`, `FileUnreadable`, or `InvalidUsage` that names line and column. */
export const readToml = Effect.fnUntraced(function* (path: string) {
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const { code, message } = cause as NodeJS.ErrnoException
      return code === "ENOENT" ? new FileNotFound({ path }) : new FileUnreadable({ path, reason: message })
    }
  })
  const { parse, TomlError } = yield* Effect.promise(() => import("smol-toml"))
  return yield* Effect.try({
    try: (): unknown => parse(text),
    catch: (cause) => {
      if (!(cause instanceof TomlError)) throw cause
      const reason = cause.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "")
      return new InvalidUsage({ reason: `${path}:${cause.line}:${cause.column}: ${reason}; write TOML: key = value` })
    }
  })
})

/**
 * Checks what was parsed.
 *
 * - `problem`  what is wrong at a place, and what to write there, from the Schema's message
 * - fails      with `InvalidUsage` that names the place: "backend[0].options"
 */
export const decodeToml = <A, I>(
  path: string,
  schema: Schema.Codec<A, I>,
  parsed: unknown,
  problem: (message: string, keys: ReadonlyArray<PropertyKey>) => string
): Effect.Effect<A, InvalidUsage> =>
  Schema.decodeUnknownEffect(schema)(parsed, { onExcessProperty: "error" }).pipe(
    Effect.mapError(({ issue }) => {
      const [first] = SchemaIssue.makeFormatterStandardSchemaV1()(issue).issues
      const keys = (first?.path ?? []).map((part) => (typeof part === "object" ? part.key : part))
      const place = keys.reduce<string>(
        (before, key) => (typeof key === "number" ? `${before}[${key}]` : `${before}${before && "."}${String(key)}`),
        ""
      )
      return new InvalidUsage({ reason: `${path}: ${place}: ${problem(first?.message ?? "it is wrong", keys)}` })
    })
  )

/** The value at a place, for messages. */
export const valueAt = (parsed: unknown, keys: ReadonlyArray<PropertyKey>): unknown =>
  keys.reduce((at: unknown, key) => (at as Readonly<Record<PropertyKey, unknown>>)[key], parsed)
