// Which files lie uncompressed in a zip archive, and are they whole? As much of the format as torch.save uses.
//
// Read from the central directory at the end, which alone counts. Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
import type { ByteSource } from "../../gguf/byte_cursor.ts"
import { ForeignFileInvalid } from "../conversion_error.ts"

const endSignature = 0x0605_4b50
const end64Signature = 0x0606_4b50
const locatorSignature = 0x0706_4b50
const centralSignature = 0x0201_4b50
const localSignature = 0x0403_4b50

const endBytes = 22
const commentBytesMax = 0xffff
/** One tensor is a handful of files; a directory of this many entries stays below a megabyte. */
const entryCountMax = 1000
const directoryBytesMax = 1 << 20

interface Entry {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly storedBytes: number
  readonly sizeBytes: number
  readonly headerOffset: number
}

/** The archive's files by name. */
export class ZipEntries {
  readonly #source: ByteSource
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #directoryOffset: number

  /** Throws `ForeignFileInvalid`. */
  constructor(source: ByteSource) {
    this.#source = source
    const { offset, entries } = readDirectory(source)
    this.#directoryOffset = offset
    this.#entries = entries
  }

  get names(): ReadonlyArray<string> {
    return [...this.#entries.keys()]
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  /** The bytes of a file of at most `sizeMax` bytes, their checksum verified. Throws `ForeignFileInvalid`. */
  read(name: string, sizeMax: number): Uint8Array {
    const entry = this.#entries.get(name)
    if (entry === undefined) throw invalid(this.#source, `it has no ${name}`)
    const { flags, method, crc, storedBytes, sizeBytes, headerOffset } = entry
    if ((flags & 1) !== 0) throw invalid(this.#source, `${name} is encrypted`)
    if (method !== 0 || storedBytes !== sizeBytes) throw invalid(this.#source, `${name} is compressed`)
    if (sizeBytes > sizeMax) throw invalid(this.#source, `${name} has ${sizeBytes} bytes, the limit is ${sizeMax}`)
    const header = viewOf(this.#source, headerOffset, 30, name)
    if (header.getUint32(0, true) !== localSignature) throw invalid(this.#source, `${name} is not where it should be`)
    const dataOffset = headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true)
    if (dataOffset + sizeBytes > this.#directoryOffset) throw invalid(this.#source, `${name} reaches past the archive`)
    const bytes = this.#source.read(dataOffset, sizeBytes)
    if (crc32(bytes) !== crc) throw invalid(this.#source, `${name} has another checksum than it was written with`)
    return bytes
  }
}

const invalid = (source: ByteSource, reason: string) => new ForeignFileInvalid({ path: source.path, reason })

const viewOf = (source: ByteSource, offset: number, length: number, what: string): DataView => {
  if (offset < 0 || offset + length > source.sizeBytes)
    throw invalid(source, `${what} reaches past the end of the file`)
  const bytes = source.read(offset, length)
  return new DataView(bytes.buffer, bytes.byteOffset, length)
}

const readDirectory = (source: ByteSource) => {
  const { count, length, offset } = findDirectory(source)
  if (count > entryCountMax || length > directoryBytesMax)
    throw invalid(source, `it names ${count} files in ${length} bytes`)
  const view = viewOf(source, offset, length, "the archive's directory")
  const entries = new Map<string, Entry>()
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > length || view.getUint32(at, true) !== centralSignature)
      throw invalid(source, "its directory is damaged")
    const nameBytes = view.getUint16(at + 28, true)
    const extraBytes = view.getUint16(at + 30, true)
    const next = at + 46 + nameBytes + extraBytes + view.getUint16(at + 32, true)
    if (next > length) throw invalid(source, "its directory is damaged")
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at + 46, nameBytes)
    const name = new TextDecoder().decode(bytes)
    if (entries.has(name)) throw invalid(source, `${name} is in it twice`)
    const [sizeBytes, storedBytes, headerOffset] = largeNumbers(view, at, at + 46 + nameBytes, extraBytes)
    entries.set(name, {
      name,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      sizeBytes,
      storedBytes,
      headerOffset
    })
    at = next
  }
  return { offset, entries }
}

/** Size, stored size and place of an entry: where their 32 bits are all ones they stand, in this order, in an extra field of their own. */
const largeNumbers = (view: DataView, entry: number, extra: number, extraBytes: number): [number, number, number] => {
  const numbers: [number, number, number] = [
    view.getUint32(entry + 24, true),
    view.getUint32(entry + 20, true),
    view.getUint32(entry + 42, true)
  ]
  for (let at = extra; at + 4 <= extra + extraBytes;) {
    const length = view.getUint16(at + 2, true)
    const end = Math.min(at + 4 + length, extra + extraBytes)
    if (view.getUint16(at, true) === 1) {
      let field = at + 4
      for (const [i, number] of numbers.entries()) {
        if (number !== 0xffff_ffff || field + 8 > end) continue
        numbers[i] = Number(view.getBigUint64(field, true))
        field += 8
      }
    }
    at += 4 + length
  }
  return numbers
}

const findDirectory = (
  source: ByteSource
): { readonly count: number; readonly length: number; readonly offset: number } => {
  const tailBytes = Math.min(source.sizeBytes, endBytes + commentBytesMax)
  const tail = viewOf(source, source.sizeBytes - tailBytes, tailBytes, "its end")
  for (let at = tailBytes - endBytes; at >= 0; at--) {
    if (tail.getUint32(at, true) !== endSignature) continue
    // The comment after it reaches exactly to the end of the file.
    if (at + endBytes + tail.getUint16(at + 20, true) !== tailBytes) continue
    const end = {
      count: tail.getUint16(at + 10, true),
      length: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true)
    }
    const isLarge = end.count === 0xffff || end.length === 0xffff_ffff || end.offset === 0xffff_ffff
    return isLarge ? findLargeDirectory(source, source.sizeBytes - tailBytes + at) : end
  }
  throw invalid(source, "it is no zip archive, as torch.save has written since version 1.6")
}

const findLargeDirectory = (source: ByteSource, endOffset: number) => {
  const locator = viewOf(source, endOffset - 20, 20, "the archive's directory")
  if (locator.getUint32(0, true) !== locatorSignature) throw invalid(source, "its directory is damaged")
  const end = viewOf(source, Number(locator.getBigUint64(8, true)), 56, "the archive's directory")
  if (end.getUint32(0, true) !== end64Signature) throw invalid(source, "its directory is damaged")
  return {
    count: Number(end.getBigUint64(32, true)),
    length: Number(end.getBigUint64(40, true)),
    offset: Number(end.getBigUint64(48, true))
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
  return crc
})

/** The checksum of zip: CRC-32 of ISO 3309. */
const crc32 = (bytes: Uint8Array): number => {
  let crc = 0xffff_ffff
  for (const byte of bytes) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255]!
  return ~crc >>> 0
}
