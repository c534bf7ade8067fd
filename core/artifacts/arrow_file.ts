// How does an Arrow IPC file grow record batch by record batch, go on after an interruption, and give back one batch without the others?
//
// The library writes to a queue in memory and forgets where it was; here it writes to a file, and finds out from the file.
import { readSync, writeSync } from "node:fs"
import { Message, type RecordBatch, RecordBatchFileWriter, type Schema } from "apache-arrow"
import { FileBlock, Footer } from "apache-arrow/ipc/metadata/file"

const magic = "ARROW1"
/** The magic and two bytes of padding. */
const headBytes = 8
/** Length of the footer and the magic. */
const tailBytes = 4 + magic.length
/** A continuation mark and the length of the metadata. */
const prefixBytes = 8

/** Where a record batch lies, and how its buffers lie in its body. */
export interface BatchPlace {
  readonly rowCount: number
  readonly bodyOffset: number
  readonly bodyBytes: number
  /** In the order of the columns: offset in the body and length. */
  readonly buffers: ReadonlyArray<{ readonly offset: number; readonly length: number }>
}

/** A file that was written to its end. */
export interface ArrowFile {
  readonly schema: Schema
  readonly batches: ReadonlyArray<BatchPlace>
}

/** Writes record batches of one schema to an open file, from its beginning or from where an interrupted one left off. */
export class ArrowFileWriter extends RecordBatchFileWriter {
  readonly #descriptor: number

  /** `sizeBytes`: of a file that goes on, up to which its batches are whole; 0 begins one. */
  constructor(descriptor: number, schema: Schema, sizeBytes: number) {
    super()
    this.#descriptor = descriptor
    if (sizeBytes === 0) {
      this.reset(undefined, schema)
      return
    }
    this._schema = schema
    this._started = true
    this._position = sizeBytes
    this._recordBatchBlocks = batchesUpTo(descriptor, sizeBytes)
  }

  /** Where the next batch begins. */
  get sizeBytes(): number {
    return this._position
  }

  append(batch: RecordBatch): void {
    this.write(batch)
  }

  /** Writes the footer, without which there is no file. */
  end(): void {
    this.close()
  }

  protected override _write(chunk: ArrayBufferView | ArrayBufferLike): this {
    const bytes = ArrayBuffer.isView(chunk)
      ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      : new Uint8Array(chunk)
    for (let at = 0; at < bytes.length;) {
      at += writeSync(this.#descriptor, bytes, at, bytes.length - at, this._position + at)
    }
    this._position += bytes.length
    return this
  }

  /** The library leaves the schema to the footer; the format wants it here too, for those that read from a pipe. */
  protected override _writeSchema(schema: Schema): this {
    return super._writeSchema(schema)._writeMessage(Message.from(schema))
  }
}

/** The batches between the beginning of an unfinished file and `sizeBytes`; throws where there is something else. */
const batchesUpTo = (descriptor: number, sizeBytes: number): Array<FileBlock> => {
  const blocks: Array<FileBlock> = []
  for (let at = headBytes; at < sizeBytes;) {
    const prefix = viewOf(readAt(descriptor, at, prefixBytes))
    const metadataBytes = prefix.getInt32(4, true) + prefixBytes
    if (prefix.getInt32(0, true) !== -1 || metadataBytes <= prefixBytes || at + metadataBytes > sizeBytes) {
      throw new Error(`there is no message at byte ${at}`)
    }
    const message = Message.decode(readAt(descriptor, at + prefixBytes, metadataBytes - prefixBytes))
    if (message.isRecordBatch()) blocks.push(new FileBlock(metadataBytes, message.bodyLength, at))
    at += metadataBytes + message.bodyLength
  }
  return blocks
}

/** Reads the footer and the head of every batch; throws where something is wrong. */
export const readArrowFile = (descriptor: number, sizeBytes: number): ArrowFile => {
  if (sizeBytes < headBytes + tailBytes) throw new Error(`it has ${sizeBytes} bytes`)
  if (textOf(readAt(descriptor, 0, magic.length)) !== magic) throw new Error("it is no Arrow file")
  const tail = readAt(descriptor, sizeBytes - tailBytes, tailBytes)
  if (textOf(tail.subarray(4)) !== magic) throw new Error("it ends before its footer")
  const footerBytes = viewOf(tail).getInt32(0, true)
  const footerAt = sizeBytes - tailBytes - footerBytes
  if (footerBytes <= 0 || footerAt < headBytes) throw new Error(`its footer has ${footerBytes} bytes`)
  const footer = Footer.decode(readAt(descriptor, footerAt, footerBytes))
  const batches = Array.from(footer.recordBatches(), ({ offset, metaDataLength, bodyLength }): BatchPlace => {
    const bodyOffset = offset + metaDataLength
    if (offset < headBytes || metaDataLength <= prefixBytes || bodyLength < 0 || bodyOffset + bodyLength > footerAt) {
      throw new Error(`a record batch lies outside of it, at byte ${offset}`)
    }
    const message = Message.decode(readAt(descriptor, offset + prefixBytes, metaDataLength - prefixBytes))
    if (!message.isRecordBatch()) throw new Error(`there is no record batch at byte ${offset}`)
    const { length: rowCount, buffers } = message.header()
    if (
      buffers.some((buffer) => buffer.offset < 0 || buffer.length < 0 || buffer.offset + buffer.length > bodyLength)
    ) {
      throw new Error(`a column lies outside of the record batch at byte ${offset}`)
    }
    return {
      rowCount,
      bodyOffset,
      bodyBytes: bodyLength,
      buffers: buffers.map(({ offset, length }) => ({ offset, length }))
    }
  })
  return { schema: footer.schema, batches }
}

/** Reads into `into`; throws where the file ends before. */
export const readInto = (descriptor: number, offset: number, into: Uint8Array): void => {
  for (let at = 0; at < into.length;) {
    const count = readSync(descriptor, into, at, into.length - at, offset + at)
    if (count === 0) throw new Error(`it ends at byte ${offset + at}`)
    at += count
  }
}

const readAt = (descriptor: number, offset: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  readInto(descriptor, offset, bytes)
  return bytes
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
