// Which tensor types do we compute with, and how many bytes do they take?

/** A tensor type of ggml that every backend understands. */
export type TensorTypeName =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"

/** How a tensor type is stored: a row is a sequence of blocks of `blockSize` elements, `blockBytes` bytes each. */
export interface TensorType<Name extends string = TensorTypeName> {
  readonly name: Name
  /** The number that stands for the type in a file (ggml.h, `enum ggml_type`). */
  readonly id: number
  readonly blockSize: number
  readonly blockBytes: number
}

/** Every supported type by its name. Block layouts are in quants/, one file a type. */
export const tensorTypes: { readonly [Name in TensorTypeName]: TensorType } = {
  F32: { name: "F32", id: 0, blockSize: 1, blockBytes: 4 },
  F16: { name: "F16", id: 1, blockSize: 1, blockBytes: 2 },
  BF16: { name: "BF16", id: 30, blockSize: 1, blockBytes: 2 },
  Q8_0: { name: "Q8_0", id: 8, blockSize: 32, blockBytes: 34 },
  Q4_0: { name: "Q4_0", id: 2, blockSize: 32, blockBytes: 18 },
  Q4_1: { name: "Q4_1", id: 3, blockSize: 32, blockBytes: 20 },
  Q5_0: { name: "Q5_0", id: 6, blockSize: 32, blockBytes: 22 },
  Q5_1: { name: "Q5_1", id: 7, blockSize: 32, blockBytes: 24 },
  Q2_K: { name: "Q2_K", id: 10, blockSize: 256, blockBytes: 84 },
  Q3_K: { name: "Q3_K", id: 11, blockSize: 256, blockBytes: 110 },
  Q4_K: { name: "Q4_K", id: 12, blockSize: 256, blockBytes: 144 },
  Q5_K: { name: "Q5_K", id: 13, blockSize: 256, blockBytes: 176 },
  Q6_K: { name: "Q6_K", id: 14, blockSize: 256, blockBytes: 210 }
}

/** Which tensors a kind of file may hold. */
export interface TensorRules<Name extends string> {
  /** By their ids, which differ in files of PowerInfer's from 16 on. */
  readonly types: (magic: "GGUF" | "PWRI") => ReadonlyMap<number, TensorType<Name>>
  /** The least length of a dimension. */
  readonly lengthMin: 0 | 1
}

const typesById = new Map(Object.values(tensorTypes).map((type) => [type.id, type]))

/** Of models. Their ids are ggml's even where the magic is PWRI: PowerInfer has no types above 15 that models are made of. */
export const modelTensors: TensorRules<TensorTypeName> = { types: () => typesById, lengthMin: 1 }

/** Names of types that ggml has and we do not, so that an error can say more than a number (ggml.h, 2026). */
const foreignTypeNames: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2"],
  [5, "Q4_3"],
  [9, "Q8_1"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [20, "IQ4_NL"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [31, "Q4_0_4_4"],
  [32, "Q4_0_4_8"],
  [33, "Q4_0_8_8"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [36, "IQ4_NL_4_4"],
  [37, "IQ4_NL_4_8"],
  [38, "IQ4_NL_8_8"],
  [39, "MXFP4"],
  [40, "NVFP4"],
  [41, "Q1_0"],
  [42, "Q2_0"]
])

/** The same for files with the magic PWRI: PowerInfer's ggml left the common line of ids after 15. */
const powerInferTypeNames: ReadonlyMap<number, string> = new Map([
  [16, "I8"],
  [17, "I16"],
  [18, "I32"]
])

/** What ggml (or, for the magic PWRI, PowerInfer's ggml) calls a type that we do not support, or null. */
export const foreignTypeName = (id: number, magic: "GGUF" | "PWRI"): string | null =>
  (magic === "PWRI" && id > 15 ? powerInferTypeNames : foreignTypeNames).get(id) ?? null

/** Bytes of one row of `width` elements. Throws a RangeError if `width` is not a whole number of blocks. */
export const rowBytes = (type: TensorTypeName, width: number): number => {
  const { blockSize, blockBytes } = tensorTypes[type]
  if (!Number.isSafeInteger(width) || width < 0 || width % blockSize !== 0) {
    throw new RangeError(`A row of ${width} elements is not a whole number of ${type} blocks of ${blockSize}`)
  }
  return (width / blockSize) * blockBytes
}
