// How is a header put together whose length is known only at its end?

/** Appends little-endian values to a growing buffer. */
export class ByteBuilder {
  #view = new DataView(new ArrayBuffer(4096))
  #length = 0

  /** What was appended so far; a view that the next append may invalidate. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#view.buffer, 0, this.#length)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    const at = this.#grow(1)
    this.#view.setUint8(at, value)
  }

  i8(value: number): void {
    const at = this.#grow(1)
    this.#view.setInt8(at, value)
  }

  u16(value: number): void {
    const at = this.#grow(2)
    this.#view.setUint16(at, value, true)
  }

  i16(value: number): void {
    const at = this.#grow(2)
    this.#view.setInt16(at, value, true)
  }

  u32(value: number): void {
    const at = this.#grow(4)
    this.#view.setUint32(at, value, true)
  }

  i32(value: number): void {
    const at = this.#grow(4)
    this.#view.setInt32(at, value, true)
  }

  f32(value: number): void {
    const at = this.#grow(4)
    this.#view.setFloat32(at, value, true)
  }

  f64(value: number): void {
    const at = this.#grow(8)
    this.#view.setFloat64(at, value, true)
  }

  u64(value: number | bigint): void {
    const at = this.#grow(8)
    this.#view.setBigUint64(at, BigInt(value), true)
  }

  i64(value: number | bigint): void {
    const at = this.#grow(8)
    this.#view.setBigInt64(at, BigInt(value), true)
  }

  append(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length)
    new Uint8Array(this.#view.buffer).set(bytes, at)
  }

  /** A u64 length and the text in UTF-8. */
  string(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.u64(bytes.length)
    this.append(bytes)
  }

  /** Zeros up to the next multiple of `alignment`. */
  align(alignment: number): void {
    this.append(new Uint8Array((alignment - (this.#length % alignment)) % alignment))
  }

  /** Makes room for `length` more bytes and returns where they start. May replace the view: call it before using that. */
  #grow(length: number): number {
    const at = this.#length
    this.#length += length
    if (this.#length > this.#view.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#view.byteLength))
      larger.set(new Uint8Array(this.#view.buffer, 0, at))
      this.#view = new DataView(larger.buffer)
    }
    return at
  }
}
