// Which weights are copied into memory, and in which layout?
import {
  type BackendFailure,
  type DeviceContext,
  NotEnoughMemory,
  readMachineFrom,
  Role,
  roleBindings
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type { Cpu } from "./cpu.ts"
import { openFailure } from "./failures.ts"

/** POWERINFER_RESIDENT_x */
const Layout = { rows: 0, panels: 1 } as const

/** What helps where the copies do not fit. */
export const readInPlace = "read the weights in place with --weights mapped, or choose a smaller model"

/** Less than this is copied without a word. */
const worthAWordBytes = 2 ** 28

/** An opened model whose tensors are bound. */
export interface ResidentContext {
  readonly cpu: Cpu
  readonly handle: number
  readonly device: Pick<DeviceContext, "model" | "shares" | "home" | "sparse" | "candidates" | "announce">
  /** Bytes of each block's repacked `down`, where the device reads one. */
  readonly repackedBytes: ReadonlyArray<number | undefined>
}

interface ResidentMatrix {
  readonly role: number
  readonly block: number
  readonly layout: number
  readonly sizeBytes: number
}

/**
 * Copies every matrix that decoding reads from the file's mapping into memory. No result changes.
 *
 * - layout  panels of eight rows for what is read whole; rows for what a sparse run reads neuron by neuron
 * - cost    a read and a write of the weights; the pages of the mapping are given back as they are copied
 * - fails   with `NotEnoughMemory` if they do not all fit in what the machine has available now, whatever limit was set: before anything is
 *           copied, because a machine that runs out of memory ends processes, this one or another
 */
export const keepWeightsResident = Effect.fnUntraced(function* (
  context: ResidentContext
): Effect.fn.Return<void, BackendFailure | NotEnoughMemory> {
  const { native } = context.cpu
  const matrices = residentMatrices(context)
  const totalBytes = matrices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const wanted = (neededBytes: number) => ({
    purpose: "a copy of the weights",
    neededBytes,
    availableBytes: readMachineFrom(native).memoryAvailableBytes,
    remedy: readInPlace
  })
  const all = wanted(totalBytes)
  if (totalBytes > all.availableBytes) return yield* new NotEnoughMemory(all)
  if (totalBytes >= worthAWordBytes) {
    context.device.announce(`copying ${(totalBytes / 1e9).toFixed(2)} GB of weights into memory`)
  }
  for (const { role, block, layout, sizeBytes } of matrices) {
    const status = native.symbols.powerinfer_model_make_resident(context.handle, role, block, layout)
    if (status < 0) {
      return yield* openFailure(native.failed("powerinfer_model_make_resident", status), wanted(sizeBytes))
    }
    // Lets an interruption in: the calls between are long.
    yield* Effect.yieldNow
  }
})

const residentMatrices = ({ device, repackedBytes }: ResidentContext): ReadonlyArray<ResidentMatrix> => [
  ...neededBindings(device).flatMap(({ role, block, tensor }): ReadonlyArray<ResidentMatrix> => {
    const layout = layoutOf(role, device)
    return layout === undefined ? [] : [{ role, block, layout, sizeBytes: tensor.sizeBytes }]
  }),
  ...repackedBytes.flatMap((sizeBytes, block): ReadonlyArray<ResidentMatrix> =>
    sizeBytes === undefined ? [] : [{ role: Role.downRepacked, block, layout: Layout.rows, sizeBytes }]
  )
]

/** Tensors that this device will read: of blocks that it holds neurons of, and what only the home needs if it is that. */
const neededBindings = ({ model, home, shares }: Pick<DeviceContext, "model" | "shares" | "home">) =>
  roleBindings(model).filter(({ role, block }) => (role < Role.gate ? home : shares[block] !== "none"))

/** Bytes of these tensors, tied ones counted once. */
export const neededBytes = (device: Pick<DeviceContext, "model" | "shares" | "home">): number => {
  const byName = new Map(neededBindings(device).map(({ tensor }) => [tensor.name, tensor.sizeBytes]))
  return [...byName.values()].reduce((sum, bytes) => sum + bytes, 0)
}

/**
 * Embeddings are read a row at a time. Where a sparse run decodes, `down` by rows serves prefill, and blocks of which a quarter fires: too little
 * for a second copy. Both stay in the file's mapping.
 */
const layoutOf = (role: number, { model, sparse, candidates }: ResidentContext["device"]): number | undefined => {
  switch (role) {
    case Role.output:
    case Role.q:
    case Role.k:
    case Role.v:
    case Role.attentionOutput:
      return Layout.panels
    case Role.gate:
      return candidates === "some" ? Layout.rows : Layout.panels
    case Role.up:
      return sparse && (model.shape.gated || candidates === "some") ? Layout.rows : Layout.panels
    case Role.down:
      return sparse ? undefined : Layout.panels
    case Role.downByNeuron:
      return Layout.rows
    default:
      return undefined
  }
}
