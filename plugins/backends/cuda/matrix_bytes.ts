// What does a tensor take of the device's memory, where it lies in planes? The sizes of native/cuda/layout.cc, for plans that are made before anything is copied.
import { type TensorInfo, type TensorTypeName, tensorTypes } from "@powerinfer/core"

/** Of the planes that a type has; see native/cuda/format.h. */
interface Planes {
  /** Of eight weights: codes, and in Q6_K their upper bits. */
  readonly octetBytes: number
  readonly highBytes: number
  /** Weights that share a small scale, and its bytes. */
  readonly group: number
  readonly groupBytes: number
  /** Of a block of weights, d and dmin. */
  readonly scaleBytes: number
}

const plain = (bytes: number): Planes => ({
  octetBytes: 8 * bytes,
  highBytes: 0,
  group: 1,
  groupBytes: 0,
  scaleBytes: 0
})

const planesByType: { readonly [Name in TensorTypeName]?: Planes } = {
  F32: plain(4),
  F16: plain(2),
  BF16: plain(2),
  Q8_0: { octetBytes: 8, highBytes: 0, group: 32, groupBytes: 0, scaleBytes: 2 },
  Q4_0: { octetBytes: 4, highBytes: 0, group: 32, groupBytes: 0, scaleBytes: 2 },
  Q4_K: { octetBytes: 4, highBytes: 0, group: 32, groupBytes: 2, scaleBytes: 4 },
  Q6_K: { octetBytes: 4, highBytes: 2, group: 16, groupBytes: 1, scaleBytes: 2 }
}

/** Types that the device reads. */
export const readTypes: ReadonlyArray<string> = Object.keys(planesByType)

/** Of cudaMalloc, and of every plane. */
export const aligned = (bytes: number): number => Math.ceil(bytes / 256) * 256

const octetsOf = (width: number): number => Math.ceil(width / 32) * 4

const shapeOf = ({ shape: [width = 1, rows = 1] }: TensorInfo) => ({ width, rows })

/** By plane, of one row: one dot product of `width` weights. Empty of a type that the device refuses. */
const rowPlanes = (type: TensorTypeName, width: number): ReadonlyArray<number> => {
  const planes = planesByType[type]
  if (planes === undefined) return []
  const { octetBytes, highBytes, group, groupBytes, scaleBytes } = planes
  const octets = octetsOf(width)
  const blocks = scaleBytes === 0 ? 0 : width / tensorTypes[type].blockSize
  return [octets * octetBytes, octets * highBytes, Math.floor(width / group) * groupBytes, blocks * scaleBytes]
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** A whole matrix. */
export const matrixBytes = (tensor: TensorInfo): number => {
  const { width, rows } = shapeOf(tensor)
  return sum(rowPlanes(tensor.type, width).map((bytes) => aligned(bytes * rows)))
}

/** A bias or the weight of a norm: f32 there, whatever it is in the file. */
export const vectorBytes = (tensor: TensorInfo | undefined): number =>
  tensor === undefined ? 0 : aligned(4 * Math.ceil((tensor.shape[0] ?? 1) / 32) * 32)

/** One row of gate or up. */
export const rowBytes = (tensor: TensorInfo): number => sum(rowPlanes(tensor.type, shapeOf(tensor).width))

/** The part of `down` that belongs to one neuron, and what a device that holds any neuron of the block has of it. */
export const downBytes = (
  tensor: TensorInfo,
  layout: "by_output" | "by_neuron"
): { readonly neuron: number; readonly block: number } => {
  const { width, rows } = shapeOf(tensor)
  const planes = planesByType[tensor.type]
  if (planes === undefined) return { neuron: 0, block: 0 }
  if (layout === "by_neuron") return { neuron: rowBytes(tensor), block: 0 }
  const octets = octetsOf(rows)
  const codes = octets * (planes.octetBytes + planes.highBytes)
  if (planes.scaleBytes === 0) return { neuron: codes, block: 0 }
  // Scales lie along the neurons: a share has all of them, and the neurons' numbers.
  const small = aligned(octets * 8 * planes.groupBytes * Math.floor(width / planes.group))
  const scales = aligned(octets * 8 * planes.scaleBytes * (width / tensorTypes[tensor.type].blockSize))
  return { neuron: codes + 4, block: small + scales }
}
