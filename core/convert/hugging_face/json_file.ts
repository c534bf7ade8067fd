// How does code ask a JSON file for what it must hold, and name the file and the key where it does not?
import { withFile } from "../../gguf/file_source.ts"
import { ForeignFileInvalid } from "../conversion_error.ts"

/** Tokenizers of large vocabularies take some 30 MB. */
const sizeMax = 1 << 28

/** A JSON object read from a file. Throws `ForeignFileInvalid`. */
export class JsonFile {
  readonly path: string
  readonly #values: Readonly<Record<string, unknown>>
  readonly #prefix: string

  constructor(path: string, value: unknown, prefix = "") {
    this.path = path
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.invalid(`${prefix === "" ? "it" : prefix} is no JSON object`)
    }
    this.#values = value as Readonly<Record<string, unknown>>
    this.#prefix = prefix
  }

  invalid(reason: string): ForeignFileInvalid {
    return new ForeignFileInvalid({ path: this.path, reason })
  }

  entries(): ReadonlyArray<readonly [string, unknown]> {
    return Object.entries(this.#values)
  }

  /** Undefined where the key is absent or null. */
  get(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined
  }

  /** The first of several names of the same thing that is there. */
  positive(keys: string | ReadonlyArray<string>, fallback?: number): number {
    const [name, value] = this.#first(keys)
    if (value === undefined && fallback !== undefined) return fallback
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
    throw this.#wrong(name, "an integer above 0", value)
  }

  /** The id of a token. */
  id(key: string): number | undefined {
    const value = this.get(key)
    // Several ends of a text: the first is the one that trained models write.
    const one = Array.isArray(value) ? value[0] : value
    if (one === undefined) return undefined
    if (Number.isSafeInteger(one) && one >= 0) return one
    throw this.#wrong(key, "the id of a token", value)
  }

  number(key: string, fallback?: number): number {
    const value = this.get(key)
    if (value === undefined && fallback !== undefined) return fallback
    if (typeof value === "number" && Number.isFinite(value)) return value
    throw this.#wrong(key, "a number", value)
  }

  bool(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback
    if (typeof value === "boolean") return value
    throw this.#wrong(key, "true or false", value)
  }

  text(keys: string | ReadonlyArray<string>, fallback?: string): string {
    const [name, value] = this.#first(keys)
    if (value === undefined && fallback !== undefined) return fallback
    if (typeof value === "string") return value
    throw this.#wrong(name, "a text", value)
  }

  list(key: string): ReadonlyArray<unknown> {
    const value = this.get(key)
    if (Array.isArray(value)) return value
    throw this.#wrong(key, "a list", value)
  }

  object(key: string): JsonFile {
    return new JsonFile(this.path, this.get(key), this.#name(key))
  }

  optionalObject(key: string): JsonFile | undefined {
    return this.get(key) === undefined ? undefined : this.object(key)
  }

  #first(keys: string | ReadonlyArray<string>): readonly [name: string, value: unknown] {
    const names = typeof keys === "string" ? [keys] : keys
    const name = names.find((key) => this.get(key) !== undefined) ?? names[0]!
    return [name, this.get(name)]
  }

  #name(key: string): string {
    return this.#prefix === "" ? key : `${this.#prefix}.${key}`
  }

  #wrong(key: string, expected: string, actual: unknown): ForeignFileInvalid {
    const shown = actual === undefined ? "missing" : JSON.stringify(actual).slice(0, 60)
    return this.invalid(`${this.#name(key)} is ${shown}, it must be ${expected}`)
  }
}

/** Reads the file; throws also what `withFile` does. */
export const readJsonFile = (path: string): JsonFile => new JsonFile(path, parseJson(path, readWhole(path)))

/** A file that is small enough to be held: throws where it is not. */
export const readWhole = (path: string): Uint8Array =>
  withFile(path, (source) => {
    if (source.sizeBytes > sizeMax) {
      throw new ForeignFileInvalid({ path, reason: `it has ${source.sizeBytes} bytes, the limit is ${sizeMax}` })
    }
    return source.read(0, source.sizeBytes)
  })

export const parseJson = (path: string, bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    throw new ForeignFileInvalid({ path, reason: `it is no JSON (${(error as Error).message})` })
  }
}
