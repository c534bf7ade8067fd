// Which files make up a model that was split into parts, and do they fit together?
import { FileNotFound, InvalidSplit, MissingPart } from "./gguf_error.ts"
import type { Gguf } from "./reader.ts"
import type { TensorInfo } from "./tensor_index.ts"

/** llama.cpp's `llama_split_path`: name-00001-of-00003.gguf, counted from one. */
const partName = /^(?<prefix>.*)-(?<part>\d{5})-of-(?<count>\d{5})\.gguf$/su

/** The number of parts that the header announces: 1 for an ordinary file. */
export const partCountOf = (gguf: Gguf): number => gguf.metadata.u32("split.count", 1)

/**
 * Reads the remaining parts of the model that `opened` belongs to and joins all of them. Any part may be the opened one.
 *
 * - `read`   reads one part's header
 * - returns  part 1's metadata, all tensors, `file` in each of them the part's position in `files`
 * - throws   `MissingPart`, `InvalidSplit`, whatever `read` throws
 */
export const joinParts = (path: string, opened: Gguf, read: (path: string) => Gguf): Gguf => {
  const count = partCountOf(opened)
  const { prefix, part: openedPart } = parsePartName(path, count)
  const parts: Array<Gguf> = []
  for (let part = 1; part <= count; part++) {
    const partPath = `${prefix}-${digits(part)}-of-${digits(count)}.gguf`
    const gguf = part === openedPart ? opened : readPart(partPath, part, count, read)
    requirePart(partPath, gguf, part, count)
    parts.push(gguf)
  }
  const first = parts[0]!
  const tensors = joinTensors(path, parts)
  const promised = first.metadata.u32("split.tensors.count", tensors.size)
  if (promised !== tensors.size) {
    throw new InvalidSplit({
      path,
      reason: `the parts hold ${tensors.size} tensors, the first one promises ${promised}`
    })
  }
  return { ...first, tensors, files: parts.flatMap((part) => part.files) }
}

const digits = (part: number): string => String(part).padStart(5, "0")

const parsePartName = (path: string, count: number): { readonly prefix: string; readonly part: number } => {
  const { prefix, part, count: namedCount } = partName.exec(path)?.groups ?? {}
  if (prefix === undefined || Number(namedCount) !== count || Number(part) < 1 || Number(part) > count) {
    throw new InvalidSplit({ path, reason: `its metadata says that it is one of ${count} parts, its name does not` })
  }
  return { prefix, part: Number(part) }
}

const readPart = (path: string, part: number, partCount: number, read: (path: string) => Gguf): Gguf => {
  try {
    return read(path)
  } catch (error) {
    throw error instanceof FileNotFound ? new MissingPart({ path, part, partCount }) : error
  }
}

const requirePart = (path: string, gguf: Gguf, part: number, count: number): void => {
  const actualCount = partCountOf(gguf)
  if (actualCount !== count)
    throw new InvalidSplit({ path, reason: `it is one of ${actualCount} parts, not of ${count}` })
  const number = gguf.metadata.u32("split.no") + 1
  if (number !== part) throw new InvalidSplit({ path, reason: `it is part ${number}, not ${part}` })
}

const joinTensors = (path: string, parts: ReadonlyArray<Gguf>): ReadonlyMap<string, TensorInfo> => {
  const tensors = new Map<string, TensorInfo>()
  for (const [file, part] of parts.entries()) {
    for (const tensor of part.tensors.values()) {
      if (tensors.has(tensor.name)) throw new InvalidSplit({ path, reason: `tensor ${tensor.name} is in two parts` })
      tensors.set(tensor.name, { ...tensor, file })
    }
  }
  return tensors
}
