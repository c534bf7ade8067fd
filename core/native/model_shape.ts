// How is a model's shape written for C?
import type { Activation, ModelShape } from "../model/model.ts"

const normNumbers = { rms: 0, layer: 1 } as const
const ropeNumbers = { none: 0, interleaved: 1, halves: 2 } as const
const activationNumbers: { readonly [Name in Activation]: number } = {
  identity: 0,
  relu: 1,
  relu_squared: 2,
  silu: 3,
  gelu: 4
}

/** `powerinfer_model_shape`, in the order of its fields: all of them 4 bytes, one of them a float. */
export const nativeShape = (shape: ModelShape, rowCountMax: number): DataView => {
  const { norm, positions } = shape
  const fields: ReadonlyArray<number | { readonly float: number }> = [
    shape.blockCount,
    shape.hiddenWidth,
    shape.ffnWidth,
    shape.headCount,
    shape.kvHeadCount,
    shape.headWidth,
    shape.vocabularySize,
    normNumbers[norm.kind],
    { float: norm.epsilon },
    ropeNumbers[positions.kind === "rope" ? positions.style : "none"],
    positions.kind === "rope" ? positions.width : 0,
    Number(shape.parallel),
    Number(shape.gated),
    activationNumbers[shape.gateActivation],
    activationNumbers[shape.upActivation],
    positions.kind === "learned" ? positions.offset : 0,
    rowCountMax
  ]
  const sizeBytes = 4 * (1 + fields.length)
  const written = new DataView(new ArrayBuffer(sizeBytes))
  written.setUint32(0, sizeBytes, true)
  fields.forEach((field, index) => {
    if (typeof field === "number") written.setUint32(4 * (1 + index), field, true)
    else written.setFloat32(4 * (1 + index), field.float, true)
  })
  return written
}
