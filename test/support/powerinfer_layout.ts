// What does PowerInfer's converter make of a model? Written a second time, from its convert.py and convert-hf-to-powerinfer-gguf.py, for F32 matrices.
import { type GgufToWrite, quantize, type TensorToWrite } from "@powerinfer/core"
import { randomFromSeed } from "../../core/sampler/random.ts"

/** The tensor's values, F32. */
const valuesOf = (tensor: TensorToWrite): Float32Array => {
  const bytes = Buffer.concat([...tensor.chunks()])
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

const transposed = (tensor: TensorToWrite): TensorToWrite => {
  const [width, rows] = tensor.shape as [number, number]
  const values = valuesOf(tensor)
  const turned = Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % rows) * width + Math.floor(i / rows)]!
  )
  return { ...tensor, shape: [rows, width], chunks: () => [new Uint8Array(turned.buffer)] }
}

/** Keys that PowerInfer's converters do not write. */
const unwritten =
  /\.(hidden_activation|vocab_size|attention\.key_length|attention\.value_length)$|^tokenizer\.ggml\.pre$/

/**
 * The same model as PowerInfer's converters write it.
 *
 * - `ranks`      of the predictors, one a block; random weights
 * - `leavesOut`  more keys that are not written, and `output.weight` where a family has none
 */
export const inPowerInferLayout = (
  gguf: GgufToWrite,
  { ranks, leavesOut = [] }: { readonly ranks: ReadonlyArray<number>; readonly leavesOut?: ReadonlyArray<string> }
): GgufToWrite => {
  const written = gguf.tensors
    .filter(({ name }) => !leavesOut.includes(name))
    .map((tensor) => {
      const name = tensor.name.replace("ffn_down.", "ffn_down_t.")
      return { ...(name.endsWith("ffn_down_t.weight") ? transposed(tensor) : tensor), name }
    })
  const { shape: up } = written.find(({ name }) => name === "blk.0.ffn_up.weight")!
  const predictors = ranks.flatMap((rank, block) => [
    predictor(`blk.${block}.fc1.weight`, [up[0]!, rank]),
    predictor(`blk.${block}.fc2.weight`, [rank, up[1]!])
  ])
  return {
    magic: "PWRI",
    metadata: [
      ...gguf.metadata.filter(([key]) => !unwritten.test(key) && !leavesOut.includes(key)),
      ["general.file_type", "u32", 0],
      ["powerinfer.sparse_threshold", "f32", 0.25]
    ],
    // The converters write the predictors first.
    tensors: [...predictors, ...written]
  }
}

const predictor = (name: string, shape: readonly [number, number]): TensorToWrite => {
  const random = randomFromSeed(name.length + shape[0] * shape[1])
  const values = Float32Array.from({ length: shape[0] * shape[1] }, () => random.nextUniform() - 0.5)
  return { name, type: "F32", shape, chunks: () => [quantize("F32", values)] }
}
