// Which neurons did PowerInfer put on its GPU? The file MODEL.generated.gpuidx, which it writes beside a model when it first runs it.
//
// A GGUF container with the magic PWRI and i32 tensors: `blk.N.gpu_idx` [ffn_width] with 1 for a neuron on the GPU, `blk.N.gpu_bucket`
// [their count] with their ids. Source: PowerInfer, powerinfer-py/powerinfer/export_split.py.
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import { identityOf } from "../artifacts/artifact.ts"
import { type PlanFile, writeShares } from "../artifacts/placement_plan.ts"
import { withFile } from "../gguf/file_source.ts"
import { parseGgufOf } from "../gguf/reader.ts"
import type { TensorRules } from "../gguf/tensor_type.ts"
import type { Model, ModelShape } from "../model/model.ts"
import type { NeuronShare, PlacementPlan } from "../placement.ts"
import {
  attemptConversion,
  type ConversionError,
  ConversionImpossible,
  ForeignFileInvalid
} from "./conversion_error.ts"

/** What the file says. */
export interface GpuIndex {
  readonly path: string
  /** What PowerInfer was given to fill, in bytes; undefined where the file does not say. */
  readonly capacityBytes: number | undefined
  readonly ffnWidth: number
  /** Ids on the GPU, ascending, block by block. */
  readonly blocks: ReadonlyArray<Uint32Array>
}

const int32 = { name: "I32", blockSize: 1, blockBytes: 4 } as const

/** Its number differs between PowerInfer and ggml. Empty where a block has nothing on the GPU. */
const indexTensors: TensorRules<"I32"> = {
  types: (magic) => (magic === "PWRI" ? new Map([[18, { ...int32, id: 18 }]]) : new Map([[26, { ...int32, id: 26 }]])),
  lengthMin: 0
}

/** Fails with `ForeignFileInvalid` where the file contradicts itself, and as `readGguf` does. */
export const readGpuIndex = (path: string): Effect.Effect<GpuIndex, ConversionError> =>
  attemptConversion(() =>
    withFile(path, (source) => {
      const invalid = (reason: string) => new ForeignFileInvalid({ path, reason })
      const { metadata, tensors } = parseGgufOf(source, indexTensors)
      const kind = metadata.string("general.architecture")
      if (kind !== "generic.gpu_index") throw invalid(`it is of the kind ${JSON.stringify(kind)}, no index of neurons`)
      const blockCount = metadata.u32(`${kind}.block_count`)
      const numbers = (name: string): Int32Array => {
        const tensor = tensors.get(name)
        if (tensor === undefined) throw invalid(`it has no tensor ${name}`)
        if (tensor.shape.length !== 1) throw invalid(`${name} has ${tensor.shape.length} dimensions, not one`)
        const bytes = source.read(tensor.offset, tensor.sizeBytes).slice()
        return new Int32Array(bytes.buffer)
      }
      const blocks: Array<Uint32Array> = []
      let ffnWidth = 0
      // One after the other: a hostile count ends at the first block that the file does not have.
      for (let block = 0; block < blockCount; block++) {
        const flags = numbers(`blk.${block}.gpu_idx`)
        if (block === 0) ffnWidth = flags.length
        if (flags.length !== ffnWidth)
          throw invalid(`block ${block} has ${flags.length} neurons, block 0 has ${ffnWidth}`)
        if (flags.some((flag) => flag !== 0 && flag !== 1))
          throw invalid(`blk.${block}.gpu_idx holds something else than 0 and 1`)
        const marked = Uint32Array.from(flags.keys()).filter((neuron) => flags[neuron] === 1)
        const listed = numbers(`blk.${block}.gpu_bucket`)
        if (listed.length !== marked.length || listed.some((neuron, i) => neuron !== marked[i])) {
          throw invalid(`blk.${block}.gpu_bucket does not list the neurons that blk.${block}.gpu_idx marks`)
        }
        blocks.push(marked)
      }
      const capacity = "split.vram_capacity"
      return { path, capacityBytes: metadata.has(capacity) ? metadata.f32(capacity) : undefined, ffnWidth, blocks }
    })
  )

/**
 * Who holds what by the index: device 0 is the CPU and the home, device 1 the GPU.
 *
 * - fails  with `ConversionImpossible` where the index is of a model of another shape
 */
export const gpuIndexPlan = (
  { path, ffnWidth, blocks }: GpuIndex,
  shape: Pick<ModelShape, "blockCount" | "ffnWidth">
): Effect.Effect<PlacementPlan, ConversionError> =>
  attemptConversion(() => {
    if (blocks.length !== shape.blockCount || ffnWidth !== shape.ffnWidth) {
      throw new ConversionImpossible({
        path,
        reason: `it has ${blocks.length} blocks of ${ffnWidth} neurons, the model ${shape.blockCount} of ${shape.ffnWidth}`,
        remedy: "name the model that it was generated for"
      })
    }
    return { home: 0, shares: blocks.map((neurons) => sharesOf(neurons, ffnWidth)) }
  })

const sharesOf = (onGpu: Uint32Array, ffnWidth: number): ReadonlyArray<NeuronShare> => {
  if (onGpu.length === 0) return ["all", "none"]
  if (onGpu.length === ffnWidth) return ["none", "all"]
  const gpu = new Uint32Array(Math.ceil(ffnWidth / 32))
  for (const neuron of onGpu) gpu[neuron >>> 5]! |= 1 << (neuron & 31)
  const cpu = gpu.map((word) => ~word)
  if (ffnWidth % 32 !== 0) cpu[cpu.length - 1]! &= 2 ** (ffnWidth % 32) - 1
  return [cpu, gpu]
}

/**
 * The same as a plan file of this model, for PowerInfer's two devices: the CPU, and a GPU that is CUDA's. It gives no speeds: the index has none.
 *
 * - fails  as `gpuIndexPlan` does
 */
export const gpuIndexPlanFile = Effect.fnUntraced(function* (
  index: GpuIndex,
  model: Model
): Effect.fn.Return<PlanFile, ConversionError> {
  const { home, shares } = yield* gpuIndexPlan(index, model.shape)
  const sizeBytes = model.gguf.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  return {
    model: yield* identityOf(model),
    home,
    devices: [
      { name: "cpu", memoryBytes: sizeBytes },
      // Where PowerInfer wrote no capacity it had all that it wanted.
      { name: "gpu", backend: "cuda", memoryBytes: index.capacityBytes ?? sizeBytes }
    ],
    devicesPresent: false,
    policy: { name: "gpu_index", version: "1", options: { file: basename(index.path) } },
    contextLength: model.shape.contextLength,
    cacheType: "f16",
    reservedBytes: { cacheBytes: 0, predictorBytes: 0, workspaceBytes: 0 },
    shares: writeShares(shares),
    notes: ["From PowerInfer's generated index: neurons as PowerInfer placed them, attention on the CPU"]
  }
})
