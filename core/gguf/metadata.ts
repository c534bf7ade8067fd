// What does the file say about its model, and how does other code ask for it?
import { InvalidMetadata, MissingMetadata } from "./gguf_error.ts"

/** The TypeScript form of every metadata type. `T[]` is an array of T in the file. */
export interface MetadataValues {
  readonly u8: number
  readonly i8: number
  readonly u16: number
  readonly i16: number
  readonly u32: number
  readonly i32: number
  readonly f32: number
  readonly f64: number
  /** A number where it is a safe integer, else a bigint. */
  readonly u64: number | bigint
  readonly i64: number | bigint
  readonly bool: boolean
  /**
   * Decoded as UTF-8, a leading U+FEFF kept. Bytes that are not UTF-8 become U+FFFD: llama.cpp's converters write
   * vocabularies as valid UTF-8 (raw bytes are spelled `<0x0A>` or mapped to printable characters), so nothing is lost there.
   */
  readonly string: string
  readonly "u8[]": Uint8Array
  readonly "i8[]": Int8Array
  readonly "u16[]": Uint16Array
  readonly "i16[]": Int16Array
  readonly "u32[]": Uint32Array
  readonly "i32[]": Int32Array
  readonly "f32[]": Float32Array
  readonly "f64[]": Float64Array
  readonly "u64[]": BigUint64Array
  readonly "i64[]": BigInt64Array
  /** 0 or 1 each, as in the file: a JavaScript array would take eight times the file's bytes. */
  readonly "bool[]": Uint8Array
  readonly "string[]": ReadonlyArray<string>
  /** An array of arrays. */
  readonly "array[]": ReadonlyArray<MetadataArray>
}

/** The name of a metadata type: `u32`, `string`, `f32[]`, … */
export type MetadataType = keyof MetadataValues

/** A value with its type, e.g. `{ type: "u32", value: 32 }`. */
export type MetadataValue = {
  [T in MetadataType]: { readonly type: T; readonly value: MetadataValues[T] }
}[MetadataType]

/** A value that is an array. */
export type MetadataArray = Extract<MetadataValue, { readonly type: `${string}[]` }>

/** Any array of numbers that JavaScript can hold without bigint. */
export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array

/**
 * The metadata of one model.
 *
 * The typed accessors are plain functions that throw `MissingMetadata` or `InvalidMetadata`, so that the code which
 * describes a model or a vocabulary reads like a table. Run such code inside one `attemptGguf`, which turns what
 * they throw into typed failures. A default is used only where the key is absent, never to hide a wrong type.
 */
export class Metadata {
  readonly #path: string
  readonly #values: ReadonlyMap<string, MetadataValue>

  /** `path` is named in errors. `values` in the order of the file. */
  constructor(path: string, values: ReadonlyMap<string, MetadataValue>) {
    this.#path = path
    this.#values = values
  }

  /** Keys and values in the order of the file. */
  entries(): IterableIterator<[string, MetadataValue]> {
    return this.#values.entries()
  }

  has(key: string): boolean {
    return this.#values.has(key)
  }

  get(key: string): MetadataValue | undefined {
    return this.#values.get(key)
  }

  /** An integer of any width that lies in 0 … 2³²−1: converters disagree about the width of counts. */
  u32(key: string, fallback?: number): number {
    return this.#read(key, fallback, "an integer in 0 … 4294967295", (stored) =>
      isInteger(stored) && stored.value >= 0 && stored.value <= 0xffff_ffff ? Number(stored.value) : undefined
    )
  }

  /** A number of any type. */
  f32(key: string, fallback?: number): number {
    return this.#read(key, fallback, "a number", (stored) =>
      stored.type === "f32" || stored.type === "f64" || isInteger(stored) ? Number(stored.value) : undefined
    )
  }

  bool(key: string, fallback?: boolean): boolean {
    return this.#read(key, fallback, "a bool", (stored) => (stored.type === "bool" ? stored.value : undefined))
  }

  string(key: string, fallback?: string): string {
    return this.#read(key, fallback, "a string", (stored) => (stored.type === "string" ? stored.value : undefined))
  }

  strings(key: string, fallback?: ReadonlyArray<string>): ReadonlyArray<string> {
    return this.#read(key, fallback, "an array of strings", (stored) =>
      stored.type === "string[]" ? stored.value : undefined
    )
  }

  /** An array of numbers of any type; 64-bit integers only where all of them are safe. */
  numbers(key: string, fallback?: NumberArray): NumberArray {
    return this.#read(key, fallback, "an array of numbers", (stored) => {
      switch (stored.type) {
        case "u64[]":
        case "i64[]": {
          const numbers = Float64Array.from(stored.value, Number)
          return numbers.every(Number.isSafeInteger) ? numbers : undefined
        }
        case "bool[]":
        case "string[]":
        case "array[]":
          return undefined
        default:
          return typeof stored.value === "object" ? stored.value : undefined
      }
    })
  }

  #read<A>(
    key: string,
    fallback: A | undefined,
    expected: string,
    convert: (stored: MetadataValue) => A | undefined
  ): A {
    const stored = this.#values.get(key)
    if (stored === undefined) {
      if (fallback !== undefined) return fallback
      throw new MissingMetadata({ path: this.#path, key })
    }
    const value = convert(stored)
    if (value === undefined) {
      throw new InvalidMetadata({ path: this.#path, key, expected, actual: describe(stored) })
    }
    return value
  }
}

const integerTypes = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"] as const
type IntegerValue = Extract<MetadataValue, { readonly type: (typeof integerTypes)[number] }>

const isInteger = (stored: MetadataValue): stored is IntegerValue =>
  (integerTypes as ReadonlyArray<string>).includes(stored.type)

const describe = (stored: MetadataValue): string => {
  const { type, value } = stored
  if (typeof value === "object") return `${type} of ${value.length}`
  const shown = String(value)
  return `${type} ${shown.length > 40 ? `${shown.slice(0, 40)}…` : shown}`
}
