// Which numbers does a file hold that torch.save made of a one-dimensional tensor?
import { withFile } from "../../gguf/file_source.ts"
import { f16ToF32 } from "../../gguf/float16.ts"
import { ForeignFileInvalid } from "../conversion_error.ts"
import { readTensorPickle, type StorageType, storageTypes } from "./tensor_pickle.ts"
import { ZipEntries } from "./zip_entries.ts"

const pickleBytesMax = 1 << 16
/** A block of the largest models has some 50,000 neurons. */
const elementCountMax = 1 << 24

/**
 * The elements as numbers, of float16, float32, float64, int32 or int64 (safe integers only).
 *
 * Throws `ForeignFileInvalid`, and what `withFile` does. Runs nothing of what the file says.
 */
export const readTorchVector = (path: string): Float64Array =>
  withFile(path, (source) => {
    const invalid = (reason: string) => new ForeignFileInvalid({ path, reason })
    const zip = new ZipEntries(source)
    const pickles = zip.names.filter((name) => /^[^/]+\/data\.pkl$/.test(name))
    if (pickles.length !== 1) throw invalid(`it holds ${pickles.length} files data.pkl, torch.save writes one`)
    const folder = pickles[0]!.slice(0, -"data.pkl".length)
    const { storage, offset, shape, strides } = readTensorPickle(path, zip.read(pickles[0]!, pickleBytesMax))
    const order = `${folder}byteorder`
    if (zip.has(order) && new TextDecoder().decode(zip.read(order, 16)) !== "little") {
      throw invalid("its numbers are big-endian")
    }

    const [length = 0] = shape
    if (shape.length !== 1) throw invalid(`its tensor has ${shape.length} dimensions, not one`)
    if (length > 1 && strides[0] !== 1) throw invalid("the elements of its tensor do not lie side by side")
    if (storage.elementCount > elementCountMax || offset + length > storage.elementCount) {
      throw invalid(`its tensor of ${length} elements does not lie in its storage of ${storage.elementCount}`)
    }
    const elementBytes = storageTypes[storage.type]
    if (!/^\d{1,9}$/.test(storage.key)) throw invalid(`its storage is called ${JSON.stringify(storage.key)}`)
    const stored = zip.read(`${folder}data/${storage.key}`, elementCountMax * 8)
    if (stored.length !== storage.elementCount * elementBytes) {
      throw invalid(`its storage has ${stored.length} bytes, ${storage.elementCount} elements take more or less`)
    }
    const view = new DataView(stored.buffer, stored.byteOffset + offset * elementBytes, length * elementBytes)
    const numbers = Float64Array.from({ length }, (_, i) => readers[storage.type](view, i))
    if (storage.type === "LongStorage" && !numbers.every(Number.isSafeInteger)) {
      throw invalid("it holds an integer above 2⁵³")
    }
    return numbers
  })

const readers: { readonly [Type in StorageType]: (view: DataView, index: number) => number } = {
  HalfStorage: (view, i) => f16ToF32(view.getUint16(2 * i, true)),
  FloatStorage: (view, i) => view.getFloat32(4 * i, true),
  DoubleStorage: (view, i) => view.getFloat64(8 * i, true),
  IntStorage: (view, i) => view.getInt32(4 * i, true),
  LongStorage: (view, i) => Number(view.getBigInt64(8 * i, true))
}
