// How does a model come onto the CPU? Everything that can fail does so here, once.
import {
  bindModel,
  type CacheType,
  type Device,
  type DeviceContext,
  estimateMemory,
  type Model,
  mapFile,
  nativeShape,
  openDataPlane,
  openHandle,
  readMachineFrom,
  Role,
  tensorTypes
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import { batchCalls } from "./batch_calls.ts"
import { type Cpu, openCpu } from "./cpu.ts"
import { backendFailure, openFailure } from "./failures.ts"
import { type MemoryBudget, openMemoryBudget } from "./memory_budget.ts"
import type { CpuOptions } from "./options.ts"
import { openProfile } from "./profile.ts"
import { findOrMakeRepacked, planRepackedDown } from "./repacked_down.ts"
import type { RepackedLayout } from "./repacked_file.ts"
import { keepWeightsResident, neededBytes, readInPlace } from "./resident.ts"

/** POWERINFER_CACHE_x */
const cacheNumbers: { readonly [Type in CacheType]: number } = { f16: 0, f32: 1, q8_0: 2 }

/**
 * Maps the model's files, binds its tensors and allocates the workspace; all of it is given back when the scope closes.
 *
 * - fails  with `BackendFailure` (no native library, an instruction set this CPU lacks, a file that cannot be mapped, a tensor the library
 *          refuses), `NotEnoughMemory`
 */
export const openCpuDevice = Effect.fnUntraced(function* (options: CpuOptions, context: DeviceContext) {
  const { model, rowCountMax } = context
  const biased = model.blocks.findIndex(({ gate }) => gate?.bias !== undefined)
  if (biased !== -1) return yield* backendFailure(`block ${biased} has a bias on its gate, which no kernel adds`)

  const cpu = yield* openCpu(options)
  const { memoryAvailableBytes } = readMachineFrom(cpu.native)
  const budget = openMemoryBudget(options.memoryLimitBytes ?? memoryAvailableBytes)
  const repacked = context.sparse ? yield* planRepackedDown(cpu, model) : undefined
  const estimate = estimateMemory(model, { contextLength: 0, cacheType: "f16", rowCountMax, sparse: false })
  const repackedBytes = repacked?.matrixBytes.map((bytes, block) =>
    context.shares[block] === "none" ? undefined : bytes
  )
  const weightBytes = neededBytes(context) + (repackedBytes ?? []).reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0)
  const workspaceBytes = estimate.totalBytes - estimate.weightBytes
  if (options.weights === "resident") {
    yield* budget.reserve("weights and workspace", weightBytes + workspaceBytes, readInPlace)
  } else {
    if (weightBytes > memoryAvailableBytes) context.announce(overflow(weightBytes, memoryAvailableBytes))
    yield* budget.reserve("the workspace", workspaceBytes)
  }

  const files = yield* Effect.forEach(model.gguf.files, ({ path }) => mapOnto(cpu, path))
  const wanted = { purpose: "the workspace", neededBytes: workspaceBytes, availableBytes: budget.availableBytes() }
  const handle = yield* openHandle(
    cpu.native,
    "powerinfer_model_open",
    (out) => cpu.native.symbols.powerinfer_model_open(cpu.handle, nativeShape(model.shape, rowCountMax), out),
    (opened) => cpu.native.symbols.powerinfer_model_close(opened)
  ).pipe(Effect.mapError((failed) => openFailure(failed, wanted)))

  yield* bindModel(model, {
    native: cpu.native,
    bind: (role, block, tensor, ...range) =>
      cpu.native.symbols.powerinfer_model_bind(handle, role, block, files[tensor.file]!, ...range),
    rope: (frequencies) => cpu.native.symbols.powerinfer_model_rope(handle, frequencies, frequencies.length)
  }).pipe(Effect.mapError(backendFailure))
  if (repacked !== undefined) {
    const path = yield* findOrMakeRepacked(
      { cpu, model, files, announce: context.announce, make: options.repack },
      repacked
    )
    yield* bindRepacked(cpu, handle, model, repacked, yield* mapOnto(cpu, path))
  }
  if (options.weights === "resident") {
    yield* keepWeightsResident({ cpu, handle, device: context, repackedBytes: repackedBytes ?? [] })
  }
  const { failed, symbols } = cpu.native
  const status = symbols.powerinfer_model_ready(handle)
  if (status < 0) return yield* openFailure(failed("powerinfer_model_ready", status), wanted)

  const dataPlane = openDataPlane({
    name: "cpu",
    calls: batchCalls(cpu, handle),
    check: cpu.native.check,
    shape: model.shape,
    rowCountMax,
    home: context.home,
    selectsInPlace: true,
    profile: openProfile(cpu, handle)
  })
  const device: Device = { ...dataPlane, openCache: cacheOpener(cpu, handle, model, budget) }
  return device
})

const mapOnto = ({ native }: Cpu, path: string) =>
  Effect.mapError(mapFile(native, path), ({ reason }) => backendFailure(reason))

const overflow = (weightBytes: number, availableBytes: number): string =>
  `${(weightBytes / 1e9).toFixed(2)} GB of weights do not fit in the ${(availableBytes / 1e9).toFixed(2)} GB of memory that are available: they will be read from the disk again and again`

const cacheBytes = (model: Model, contextLength: number, cacheType: CacheType): number =>
  estimateMemory(model, { contextLength, cacheType, rowCountMax: 0, sparse: false }).cacheBytes

const bindRepacked = Effect.fnUntraced(function* (
  { native }: Cpu,
  handle: number,
  model: Model,
  layout: RepackedLayout,
  file: number
) {
  const { ffnWidth, hiddenWidth } = model.shape
  for (const [block, offset] of layout.offsets.entries()) {
    if (offset === undefined) continue
    const type = tensorTypes[model.blocks[block]!.down.weight.type].id
    const role = Role.downRepacked
    const status = native.symbols.powerinfer_model_bind(handle, role, block, file, offset, type, ffnWidth, hiddenWidth)
    if (status < 0) return yield* backendFailure(native.failed("powerinfer_model_bind", status).reason)
  }
})

const cacheOpener = ({ native }: Cpu, handle: number, model: Model, budget: MemoryBudget): Device["openCache"] =>
  Effect.fnUntraced(function* (positionCount, type) {
    const purpose = `a KV cache of ${positionCount} positions`
    const neededBytes = cacheBytes(model, positionCount, type)
    const availableBytes = budget.availableBytes()
    yield* budget.reserve(purpose, neededBytes)
    return yield* openHandle(
      native,
      "powerinfer_cache_open",
      (out) => native.symbols.powerinfer_cache_open(handle, positionCount, cacheNumbers[type], out),
      (cache) => native.symbols.powerinfer_cache_close(cache)
    ).pipe(Effect.mapError((failed) => openFailure(failed, { purpose, neededBytes, availableBytes })))
  })
