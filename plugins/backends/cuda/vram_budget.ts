// How much of the GPU's memory may be used?
import type { NativeDeviceFacts } from "@powerinfer/core"

const units: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30
}

const pattern = /^([0-9]+(?:\.[0-9]+)?) ?(B|kB|MB|GB|KiB|MiB|GiB)?$/

/** True for "8GiB", "500 MB", "1000000"; else what is wrong with it. */
export const isBudget = (text: string): true | string =>
  (pattern.test(text) && parseBudget(text) > 0) ||
  `"${text}" is no size: give one like 8GiB, 500MB or a number of bytes`

/** Bytes of a text that `isBudget` accepts. */
export const parseBudget = (text: string): number => {
  const [, number, unit = ""] = pattern.exec(text) ?? []
  return Math.floor(Number(number) * units[unit]!)
}

/** As native/cuda/device.cc: left free for the driver, other programs and what CUDA allocates by itself. */
const marginOf = (memoryBytes: number): number => Math.max(256 * 2 ** 20, 0.02 * memoryBytes)

/** What a placement may fill. */
export const budgetedBytes = (
  { memoryAvailableBytes, memoryBytes }: NativeDeviceFacts,
  vramBudget: string | undefined
): number =>
  vramBudget === undefined
    ? Math.max(0, memoryAvailableBytes - marginOf(memoryBytes))
    : Math.min(memoryAvailableBytes, parseBudget(vramBudget))
