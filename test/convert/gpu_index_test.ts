// Goal: an index that PowerInfer generated becomes the plan it stands for; one that contradicts itself is refused.
// Method: files put together as export_split.py does, i32 tensors and all, and changed one thing at a time.
import { describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import {
  checkPlan,
  gpuIndexPlan,
  gpuIndexPlanFile,
  openModel,
  planFile,
  readGguf,
  readGpuIndex,
  readShares
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { ByteBuilder } from "../../core/gguf/byte_builder.ts"
import { inDirectory } from "../gguf/fixture.ts"

const run = Effect.runPromise

interface IndexTensor {
  readonly name: string
  readonly values: ReadonlyArray<number>
  readonly typeId?: number
}

const i32Of = (magic: "GGUF" | "PWRI") => (magic === "PWRI" ? 18 : 26)

/** The file, by gguf-py's rules: a header, then tensors at multiples of 32. */
const indexFile = (
  tensors: ReadonlyArray<IndexTensor>,
  { magic = "PWRI" as "GGUF" | "PWRI", kind = "generic.gpu_index", blockCount = 2 } = {}
): Uint8Array => {
  const file = new ByteBuilder()
  file.append(new TextEncoder().encode(magic))
  file.u32(3)
  file.u64(tensors.length)
  file.u64(3)
  const key = (name: string, type: number) => {
    file.string(name)
    file.u32(type)
  }
  key("general.architecture", 8)
  file.string(kind)
  key("generic.gpu_index.block_count", 4)
  file.u32(blockCount)
  key("split.vram_capacity", 10)
  file.u64(3_000_000_000)
  let offset = 0
  for (const { name, values, typeId = i32Of(magic) } of tensors) {
    file.string(name)
    file.u32(1)
    file.u64(values.length)
    file.u32(typeId)
    file.u64(offset)
    offset += Math.ceil((values.length * 4) / 32) * 32
  }
  file.align(32)
  for (const { values } of tensors) {
    for (const value of values) file.i32(value)
    file.align(32)
  }
  return file.bytes
}

const blockTensors = (block: number, flags: ReadonlyArray<number>, bucket?: ReadonlyArray<number>) => [
  { name: `blk.${block}.gpu_idx`, values: flags },
  { name: `blk.${block}.gpu_bucket`, values: bucket ?? flags.flatMap((flag, neuron) => (flag === 1 ? [neuron] : [])) }
]
const every = (flag: (neuron: number) => boolean) => Array.from({ length: 40 }, (_, neuron) => (flag(neuron) ? 1 : 0))
const third = every((neuron) => neuron % 3 === 0)

const reading = <A>(bytes: Uint8Array, use: (path: string) => Promise<A>): Promise<A> =>
  inDirectory(async (path) => {
    writeFileSync(path("model.generated.gpuidx"), bytes)
    return use(path("model.generated.gpuidx"))
  })
const errorOf = (bytes: Uint8Array) => reading(bytes, (path) => run(Effect.flip(readGpuIndex(path))))

for (const magic of ["PWRI", "GGUF"] as const) {
  test(`readGpuIndex() reads neurons block by block (${magic}), and gpuIndexPlan() places them`, async () => {
    const blocks = [third, every(() => false), every(() => true)]
    const bytes = indexFile(
      blocks.flatMap((flags, block) => blockTensors(block, flags)),
      { magic, blockCount: 3 }
    )
    const index = await reading(bytes, (path) => run(readGpuIndex(path)))
    expect(index).toMatchObject({ capacityBytes: 3e9, ffnWidth: 40 })
    expect(index.blocks.map((neurons) => neurons.length)).toEqual([14, 0, 40])
    expect(index.blocks[0]!.slice(0, 4)).toEqual(Uint32Array.of(0, 3, 6, 9))

    const shape = { blockCount: 3, ffnWidth: 40 }
    const plan = await run(gpuIndexPlan(index, shape))
    await run(checkPlan(plan, shape, 2))
    expect(plan.home).toBe(0)
    expect(plan.shares.slice(1)).toEqual([
      ["all", "none"],
      ["none", "all"]
    ])
    const [cpu, gpu] = plan.shares[0] as [Uint32Array, Uint32Array]
    for (const [neuron, flag] of third.entries()) {
      expect((gpu[neuron >>> 5]! >>> (neuron & 31)) & 1).toBe(flag)
      expect((cpu[neuron >>> 5]! >>> (neuron & 31)) & 1).toBe(1 - flag)
    }
  })
}

describe("readGpuIndex() refuses", () => {
  const none = every(() => false)
  const refused: ReadonlyArray<readonly [what: string, bytes: Uint8Array, named: string]> = [
    ["a missing block", indexFile(blockTensors(0, third)), "no tensor blk.1.gpu_idx"],
    [
      "a hostile block count",
      indexFile(blockTensors(0, third), { blockCount: 0xffff_ffff }),
      "no tensor blk.1.gpu_idx"
    ],
    [
      "blocks of different widths",
      indexFile([...blockTensors(0, third), ...blockTensors(1, [1])]),
      "block 1 has 1 neurons"
    ],
    ["flags that are none", indexFile(blockTensors(0, [0, 2])), "something else than 0 and 1"],
    ["ids that are not marked", indexFile(blockTensors(0, none, [3])), "does not list the neurons"],
    ["ids out of order", indexFile(blockTensors(0, [1, 1], [1, 0])), "does not list the neurons"],
    ["ids outside the block", indexFile(blockTensors(0, [1, 0], [7])), "does not list the neurons"],
    ["another kind of file", indexFile([], { kind: "llama" }), "no index of neurons"],
    [
      "tensors of another type",
      indexFile([{ name: "blk.0.gpu_idx", values: [1], typeId: 0 }]),
      "requantize the model to one of I32"
    ]
  ]
  for (const [what, bytes, named] of refused) {
    test(what, async () => {
      expect((await errorOf(bytes)).message).toContain(named)
    })
  }

  test("a file that is cut short, wherever it is", async () => {
    const bytes = indexFile([...blockTensors(0, third), ...blockTensors(1, third)])
    for (let length = 0; length < bytes.length - 32; length += 7) {
      expect((await errorOf(bytes.subarray(0, length)))._tag).toMatch(/^(NotGguf|TruncatedFile|MalformedGguf)$/)
    }
  })
})

test("gpuIndexPlanFile() is read back as the plan of its model, and of no other", () =>
  inDirectory(async (path) => {
    const shape = { ffnWidth: 40 }
    await run(writeTinyModel(path("model.gguf"), { family: "llama", seed: 1, activation: "relu", shape }))
    await run(writeTinyModel(path("other.gguf"), { family: "llama", seed: 2, activation: "relu", shape }))
    const bytes = indexFile([
      ...blockTensors(0, third),
      ...blockTensors(
        1,
        every(() => true)
      )
    ])
    writeFileSync(path("model.gguf.generated.gpuidx"), bytes)
    const model = await run(openModel(path("model.gguf")))
    const index = await run(readGpuIndex(path("model.gguf.generated.gpuidx")))
    await run(planFile.write(path("plan.json"), await run(gpuIndexPlanFile(index, model))))
    const read = await run(planFile.read(path("plan.json"), model))
    expect(read.devices.map(({ backend, memoryBytes }) => [backend, memoryBytes])).toMatchObject([
      [undefined, expect.any(Number)],
      ["cuda", 3e9]
    ])
    const { shares } = await run(readShares(read, model.shape, "test"))
    expect(shares).toEqual((await run(gpuIndexPlan(index, model.shape))).shares)
    const other = await run(openModel(path("other.gguf")))
    expect((await run(Effect.flip(planFile.read(path("plan.json"), other))))._tag).toBe("StaleArtifact")
  }))

test("gpuIndexPlan() refuses the index of a model of another shape", async () => {
  const bytes = indexFile([...blockTensors(0, third), ...blockTensors(1, third)])
  const index = await reading(bytes, (path) => run(readGpuIndex(path)))
  const error = await run(Effect.flip(gpuIndexPlan(index, { blockCount: 2, ffnWidth: 64 })))
  expect(error.message).toContain("2 blocks of 40 neurons, the model 2 of 64")
})

test("readGguf() still refuses i32 tensors and empty ones: no model has them", async () => {
  const i32 = await reading(indexFile(blockTensors(0, third)), (path) => run(Effect.flip(readGguf(path))))
  expect(i32).toMatchObject({ _tag: "UnsupportedTensorType", typeName: "I32" })
  const empty = await reading(indexFile([{ name: "empty", values: [], typeId: 0 }]), (path) =>
    run(Effect.flip(readGguf(path)))
  )
  expect(empty._tag).toBe("MalformedGguf")
})
