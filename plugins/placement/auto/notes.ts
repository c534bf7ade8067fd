// What did `auto` choose, and why? In a line or two for people.
import {
  type DeviceFacts,
  fastestDevices,
  heldByDevice,
  homeMemoryBytes,
  type PlacementContext,
  type PlacementProblem,
  shareMemoryBytes
} from "@powerinfer/core"
import type { Way } from "./ways.ts"

/** Of the way that was chosen for the problem. */
export const notesOf = (
  { model, reservedBytes }: PlacementContext,
  problem: PlacementProblem,
  { owners, how }: Pick<Way, "owners" | "how">
): ReadonlyArray<string> => {
  const { devices, heldBytes, home, ffnWidth } = problem
  if (devices.length === 1) return []
  const held = heldByDevice(devices.length, heldBytes, owners)
  const all = heldBytes.reduce((sum, bytes) => sum + bytes * ffnWidth, 0)
  const used = (index: number): string => {
    const device = devices[index]!
    const rest =
      index === home ? homeMemoryBytes(model, reservedBytes, device) : shareMemoryBytes(reservedBytes, device)
    const bytes = rest + held[index]! * (device.modelMemory?.neuronScale ?? 1)
    return `${sizeOf(bytes)} of ${sizeOf(device.memoryBytes)}`
  }
  const nameOf = (index: number) => devices[index]!.name
  const [fastest] = fastestDevices(devices) as [number]
  const holders = [...devices.keys()].filter((index) => held[index]! > 0)
  const lines: Array<string> = []
  if (holders.length === 1 && holders[0] === home) {
    lines.push(`auto: the whole model is on ${nameOf(home)} (${used(home)})`)
  } else {
    const parts = holders.map(
      (index) => `${((100 * held[index]!) / all).toFixed(0)}% of the neurons on ${nameOf(index)} (${used(index)})`
    )
    lines.push(`auto: attention on ${nameOf(home)}, ${parts.join(", ")}${how === "whole" ? "" : `: ${how}`}`)
  }
  if (home !== fastest) lines.push(`auto: attention and the KV cache do not fit on ${nameOf(fastest)}`)
  if (!devices.every(isMeasured)) {
    lines.push("auto: devices count as given, the fastest first; powerinfer devices measures how fast they are")
  }
  return lines
}

const isMeasured = ({ bandwidthBytesPerSecond }: DeviceFacts): boolean => bandwidthBytesPerSecond !== undefined

const sizeOf = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
