// What does the file with every block's `down` by neuron look like?
//
// A header, padded to 64 bytes, then the matrices as powerinfer_repack_down writes them, each at a multiple of 64:
//
//   0   "PIDOWN\0\0"
//   8   u32  version of the matrices' layout (native/cpu/repack.h) and of this header
//   12  u32  block_count
//   16  f64  size of the file
//   24  u8[32]  seal: tells whether the model is still the one this was made from (repacked_down.ts)
//   56  f64[block_count]  where each block's matrix starts; 0: the block has none
//
// Little-endian. The header is written last, when everything else is on the disk.

/** Raise it with every change of the layout in native/cpu/repack.h: files of another version are made again. */
const layoutVersion = 2
const magic = "PIDOWN\0\0"
const fixedHeaderBytes = 56
/** A cache line, and the widest vector. */
const alignmentBytes = 64

/** Where everything lies, known before anything is written. */
export interface RepackedLayout {
  /** Every byte before the first matrix. A file that begins otherwise was made from another model or by another version. */
  readonly header: Uint8Array
  /** [block_count], bytes from the start of the file; undefined for a block without a matrix. */
  readonly offsets: ReadonlyArray<number | undefined>
  /** [block_count], of each matrix. */
  readonly matrixBytes: ReadonlyArray<number | undefined>
  readonly sizeBytes: number
}

/** Lays out matrices of the given sizes, undefined for a block that needs none. `seal` is 64 hexadecimal digits. */
export const layOutRepacked = (seal: string, matrixBytes: ReadonlyArray<number | undefined>): RepackedLayout => {
  const header = new Uint8Array(align(fixedHeaderBytes + 8 * matrixBytes.length))
  let sizeBytes = header.length
  const offsets = matrixBytes.map((bytes) => {
    if (bytes === undefined) return undefined
    const offset = align(sizeBytes)
    sizeBytes = offset + bytes
    return offset
  })
  const view = new DataView(header.buffer)
  header.set(new TextEncoder().encode(magic))
  view.setUint32(8, layoutVersion, true)
  view.setUint32(12, matrixBytes.length, true)
  view.setFloat64(16, sizeBytes, true)
  header.set(Uint8Array.fromHex(seal), 24)
  offsets.forEach((offset, block) => view.setFloat64(fixedHeaderBytes + 8 * block, offset ?? 0, true))
  return { header, offsets, matrixBytes, sizeBytes }
}

const align = (bytes: number): number => Math.ceil(bytes / alignmentBytes) * alignmentBytes
