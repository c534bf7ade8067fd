// Which tensors does a safetensors file hold, and where?
//
//   u64 length of the header · JSON header · tensor data        little-endian
//   header: { name: { dtype, shape, data_offsets: [begin, end] from the start of the data }, "__metadata__": { … } }
import { withFile } from "../../gguf/file_source.ts"
import { ForeignFileInvalid } from "../conversion_error.ts"
import { JsonFile, parseJson } from "./json_file.ts"

/** A tensor of a checkpoint. */
export interface CheckpointTensor {
  readonly name: string
  readonly path: string
  /** As the file spells it: F32, F16, BF16, I64, … */
  readonly dtype: string
  /** Slowest dimension first, as PyTorch has it: the other way around than in GGUF. */
  readonly shape: ReadonlyArray<number>
  /** Bytes from the start of the file. */
  readonly offset: number
}

/** The format's own limit. */
const headerBytesMax = 100_000_000

const dtypeBytes: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
  ["U16", 2],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["U32", 4],
  ["I32", 4],
  ["F32", 4],
  ["U64", 8],
  ["I64", 8],
  ["F64", 8]
])

/**
 * Reads the header and proves that every tensor lies inside the file, overlaps no other and has the size of its shape.
 *
 * Throws `ForeignFileInvalid`, and what `withFile` does.
 */
export const readSafetensors = (path: string): ReadonlyArray<CheckpointTensor> =>
  withFile(path, (source) => {
    const invalid = (reason: string) => new ForeignFileInvalid({ path, reason })
    if (source.sizeBytes < 8) throw invalid(`it has ${source.sizeBytes} bytes, fewer than the length of a header`)
    const prefix = source.read(0, 8)
    const length = Number(new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true))
    if (length > headerBytesMax) throw invalid(`its header would have ${length} bytes, the limit is ${headerBytesMax}`)
    if (length > source.sizeBytes - 8) throw invalid(`its header of ${length} bytes reaches past the end of the file`)
    const header = new JsonFile(path, parseJson(path, source.read(8, length)), "its header")
    const dataOffset = 8 + length
    const dataBytes = source.sizeBytes - dataOffset

    const spans: Array<readonly [begin: number, end: number, name: string]> = []
    const tensors = header.entries().flatMap(([name, value]): ReadonlyArray<CheckpointTensor> => {
      if (name === "__metadata__") return []
      const entry = new JsonFile(path, value, name)
      const dtype = entry.text("dtype")
      const bytes = dtypeBytes.get(dtype)
      if (bytes === undefined) throw invalid(`${name} has the unknown type ${JSON.stringify(dtype.slice(0, 40))}`)
      const shape = naturals(entry, "shape")
      const [begin, end, ...more] = naturals(entry, "data_offsets")
      if (begin === undefined || end === undefined || more.length > 0 || end < begin || end > dataBytes) {
        throw invalid(`${name} lies outside the ${dataBytes} bytes of its data`)
      }
      const size = shape.reduce((product, dimension) => product * dimension, bytes)
      if (size !== end - begin) {
        throw invalid(`${name} has ${end - begin} bytes, its shape [${shape.join(", ")}] in ${dtype} takes ${size}`)
      }
      if (size > 0) spans.push([begin, end, name])
      return [{ name, path, dtype, shape, offset: dataOffset + begin }]
    })
    spans.sort(([a], [b]) => a - b)
    for (let i = 1; i < spans.length; i++) {
      if (spans[i]![0] < spans[i - 1]![1]) throw invalid(`${spans[i]![2]} overlaps ${spans[i - 1]![2]}`)
    }
    return tensors
  })

const naturals = (entry: JsonFile, key: string): ReadonlyArray<number> =>
  entry.list(key).map((value) => {
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
    throw entry.invalid(`${key} of a tensor holds ${JSON.stringify(value)}`)
  })
