// How are bytes of a hostile file read without ever trusting a length it names?
import { MalformedGguf, TruncatedFile } from "./gguf_error.ts"

/** A file, or anything like it, that is read by position. Positions and lengths in bytes. */
export interface ByteSource {
  /** Named in errors. */
  readonly path: string
  readonly sizeBytes: number
  /** Exactly `length` bytes from `offset`; callers stay inside `sizeBytes`. The result is borrowed until the next read. */
  read(offset: number, length: number): Uint8Array
}

/** Bytes fetched at once: large enough to make a header of megabytes a few dozen reads. */
const windowBytes = 65_536

/** ggml's limits are 2³⁰; real vocabularies and chat templates stay three orders of magnitude below these. */
const maxStringBytes = 1 << 24
const maxArrayLength = 1 << 26

// ignoreBOM keeps a leading U+FEFF: a vocabulary may have it as a token.
const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true })

/**
 * Reads little-endian values one after the other. Everything it allocates was first proven to lie inside the file.
 *
 * Throws `TruncatedFile` where a value, or the count of a list, reaches past the end of the file.
 */
export class ByteCursor {
  readonly source: ByteSource
  #offset = 0
  #window: DataView = new DataView(new ArrayBuffer(0))
  #windowStart = 0

  constructor(source: ByteSource) {
    this.source = source
  }

  /** Position of the next value, from the start of the file. */
  get offset(): number {
    return this.#offset
  }

  u8(what: string): number {
    const at = this.#advance(1, what)
    return this.#window.getUint8(at)
  }

  i8(what: string): number {
    const at = this.#advance(1, what)
    return this.#window.getInt8(at)
  }

  u16(what: string): number {
    const at = this.#advance(2, what)
    return this.#window.getUint16(at, true)
  }

  i16(what: string): number {
    const at = this.#advance(2, what)
    return this.#window.getInt16(at, true)
  }

  u32(what: string): number {
    const at = this.#advance(4, what)
    return this.#window.getUint32(at, true)
  }

  i32(what: string): number {
    const at = this.#advance(4, what)
    return this.#window.getInt32(at, true)
  }

  f32(what: string): number {
    const at = this.#advance(4, what)
    return this.#window.getFloat32(at, true)
  }

  f64(what: string): number {
    const at = this.#advance(8, what)
    return this.#window.getFloat64(at, true)
  }

  u64(what: string): bigint {
    const at = this.#advance(8, what)
    return this.#window.getBigUint64(at, true)
  }

  i64(what: string): bigint {
    const at = this.#advance(8, what)
    return this.#window.getBigInt64(at, true)
  }

  /** A u64 that counts or measures something. Rounded above 2⁵³, where no file can hold what it claims. */
  size(what: string): number {
    const at = this.#advance(8, what)
    return this.#window.getUint32(at, true) + this.#window.getUint32(at + 4, true) * 0x1_0000_0000
  }

  /** The count of a list whose items take at least `itemBytesMin` each. Fails before anything is allocated for them. */
  count(itemBytesMin: number, what: string): number {
    const count = this.size(what)
    this.#require(count * itemBytesMin, `${what} ${count}`)
    if (count > maxArrayLength) throw this.malformed(`${what} is ${count}, the limit is ${maxArrayLength}`)
    return count
  }

  /** A u64 length and as many bytes of UTF-8. */
  string(what: string, bytesMax = maxStringBytes): string {
    const length = this.size(what)
    this.#require(length, what)
    if (length > bytesMax) throw this.malformed(`${what} has ${length} bytes, the limit is ${bytesMax}`)
    const at = this.#advance(length, what)
    return utf8.decode(new Uint8Array(this.#window.buffer, this.#window.byteOffset + at, length))
  }

  /** A copy of the next `length` bytes, on a buffer of its own so that any typed array fits onto it. */
  bytes(length: number, what: string): Uint8Array<ArrayBuffer> {
    this.#require(length, what)
    const at = this.#advance(length, what)
    return new Uint8Array(this.#window.buffer, this.#window.byteOffset + at, length).slice()
  }

  /** The error for a rule that the bytes before the cursor break. */
  malformed(reason: string): MalformedGguf {
    return new MalformedGguf({ path: this.source.path, offset: this.#offset, reason })
  }

  #require(length: number, what: string): void {
    if (length > this.source.sizeBytes - this.#offset) {
      throw new TruncatedFile({
        path: this.source.path,
        what,
        expectedBytes: this.#offset + length,
        actualBytes: this.source.sizeBytes
      })
    }
  }

  /** Steps over `length` bytes and returns where they lie in the window, which may be a new one: call it before using that. */
  #advance(length: number, what: string): number {
    this.#require(length, what)
    let at = this.#offset - this.#windowStart
    if (at + length > this.#window.byteLength) {
      const wanted = Math.min(Math.max(length, windowBytes), this.source.sizeBytes - this.#offset)
      const bytes = this.source.read(this.#offset, wanted)
      this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      this.#windowStart = this.#offset
      at = 0
    }
    this.#offset += length
    return at
  }
}
