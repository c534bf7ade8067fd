// What does a placement policy decide about: how often neurons fire, what they weigh, and how much room devices have for them?
import * as Effect from "effect/Effect"
import { activationProfile } from "../artifacts/activation_profile.ts"
import type { Model } from "../model/model.ts"
import { type DeviceFacts, type PlacementContext, PlacementImpossible, type ReservedBytes } from "../placement.ts"
import { homeWeightBytes, neuronBytes } from "./block_costs.ts"
import { countOwned, type Owners } from "./owners.ts"

/** Everything that a policy weighs, as plain data. */
export interface PlacementProblem {
  readonly devices: ReadonlyArray<DeviceFacts>
  readonly home: number
  readonly ffnWidth: number
  /** [block]: bytes that a device holds of a neuron. */
  readonly heldBytes: ReadonlyArray<number>
  /** [block][ffn_width]: the share of tokens for which a neuron fires. */
  readonly frequencies: ReadonlyArray<Float64Array>
  /** [device]: bytes that its neurons may take, as the file counts them. */
  readonly roomBytes: ReadonlyArray<number>
  /** Devices, the fastest first: by bandwidth where every one has a figure, else as they were given. */
  readonly fastestFirst: ReadonlyArray<number>
}

/** What a policy is asked, and by whom. */
export interface PlacementQuestion {
  /** Its name, for messages. */
  readonly policy: string
  readonly context: PlacementContext
  /** Path of an activation profile. Absent: every neuron counts as often as any other. */
  readonly profile?: string | undefined
  /** Index of the home; absent: the fastest device that has room for it. */
  readonly home?: number | undefined
}

const nothingReserved: ReservedBytes = { cacheBytes: 0, predictorBytes: 0, workspaceBytes: 0 }

/**
 * Puts the question of a placement into numbers.
 *
 * - fails  `PlacementImpossible` where there is no device, none with room for what the home holds, some with a bandwidth and some without, or where
 *          the neurons do not fit on all devices together; `ArtifactUnreadable`, `StaleArtifact` for the profile
 */
export const openProblem = Effect.fnUntraced(function* ({ policy, context, profile, home }: PlacementQuestion) {
  const { model, devices, reservedBytes = nothingReserved } = context
  const impossible = (reason: string) => new PlacementImpossible({ policy, reason })
  if (devices.length === 0) return yield* impossible("there is no device; name at least one backend")
  if (devices.length > 255) return yield* impossible(`there are ${devices.length} devices; 255 are the limit`)
  const frequencies = yield* readFrequencies(model, profile)
  const measured = devices.filter(({ bandwidthBytesPerSecond }) => bandwidthBytesPerSecond !== undefined)
  if (measured.length > 0 && measured.length < devices.length) {
    const unmeasured = devices.find(({ bandwidthBytesPerSecond }) => bandwidthBytesPerSecond === undefined)!
    return yield* impossible(
      `${unmeasured.name} has no bandwidth and ${measured[0]!.name} has one; give all of them one`
    )
  }
  const fastestFirst = fastestDevices(devices)
  const homeBytes = (device: number) => homeMemoryBytes(model, reservedBytes, devices[device])
  const fitsHome = (device: number) => devices[device]!.memoryBytes >= homeBytes(device)
  const chosen = home ?? fastestFirst.find(fitsHome)
  if (chosen !== undefined && !(chosen >= 0 && chosen < devices.length)) {
    return yield* impossible(`the home is device ${chosen}, there are ${devices.length}; they count from 0`)
  }
  if (chosen === undefined || !fitsHome(chosen)) {
    const who = chosen === undefined ? "no device" : devices[chosen]!.name
    return yield* impossible(
      `embeddings, attention, KV cache and workspace take ${gib(homeBytes(chosen ?? fastestFirst[0]!))}, and ${who} has ${chosen === undefined ? "so much" : gib(devices[chosen]!.memoryBytes)}; reserve a shorter context or name a larger device`
    )
  }
  const problem: PlacementProblem = {
    devices,
    home: chosen,
    ffnWidth: model.shape.ffnWidth,
    heldBytes: neuronBytes(model).map(({ held }) => held),
    frequencies,
    roomBytes: roomBytes(context, chosen),
    fastestFirst
  }
  if (neuronsTake(problem) > roomOf(problem)) {
    return yield* impossible(
      `the neurons take ${gib(neuronsTake(problem))}, and all devices together have ${gib(roomOf(problem))} left for them; add one`
    )
  }
  return problem
})

/** The same question with another home; undefined where that has no room for what a home holds, or leaves too little for neurons. */
export const withHome = (
  problem: PlacementProblem,
  context: PlacementContext,
  home: number
): PlacementProblem | undefined => {
  const device = context.devices[home]!
  if (device.memoryBytes < homeMemoryBytes(context.model, context.reservedBytes, device)) return undefined
  const moved = { ...problem, home, roomBytes: roomBytes(context, home) }
  return neuronsTake(moved) <= roomOf(moved) ? moved : undefined
}

const roomBytes = ({ model, devices, reservedBytes = nothingReserved }: PlacementContext, home: number) =>
  devices.map((device, index) => {
    const taken =
      index === home ? homeMemoryBytes(model, reservedBytes, device) : shareMemoryBytes(reservedBytes, device)
    return Math.max(0, Math.floor((device.memoryBytes - taken) / (device.modelMemory?.neuronScale ?? 1)))
  })

const neuronsTake = ({ heldBytes, ffnWidth }: PlacementProblem): number =>
  heldBytes.reduce((sum, bytes) => sum + bytes * ffnWidth, 0)

const roomOf = (problem: PlacementProblem): number => problem.roomBytes.reduce((sum, bytes) => sum + bytes, 0)

/** Their indices, the fastest first; of equals, and where nobody has measured, as they were given. */
export const fastestDevices = (devices: ReadonlyArray<DeviceFacts>): ReadonlyArray<number> => {
  const speedOf = (device: number) => devices[device]!.bandwidthBytesPerSecond ?? 0
  return [...devices.keys()].toSorted((a, b) => speedOf(b) - speedOf(a) || a - b)
}

/** Bytes of all neurons, on a device that holds them. */
export const neuronMemoryBytes = (model: Model, device?: Pick<DeviceFacts, "modelMemory">): number =>
  neuronBytes(model).reduce((sum, { held }) => sum + held * model.shape.ffnWidth, 0) *
  (device?.modelMemory?.neuronScale ?? 1)

/** Bytes that are no neurons, on a device that is the home. */
export const homeMemoryBytes = (
  model: Model,
  reserved: ReservedBytes = nothingReserved,
  device?: Pick<DeviceFacts, "modelMemory">
): number =>
  (device?.modelMemory?.homeBytes ?? homeWeightBytes(model) + reserved.workspaceBytes) +
  reserved.cacheBytes +
  reserved.predictorBytes

/** Bytes that are no neurons, on another device that holds some. */
export const shareMemoryBytes = (
  reserved: ReservedBytes = nothingReserved,
  device?: Pick<DeviceFacts, "modelMemory">
): number => device?.modelMemory?.shareBytes ?? reserved.workspaceBytes

/** Of a profile of this model; without one, 1 for every neuron. Fails with `ArtifactUnreadable`, `StaleArtifact` or `GgufError`. */
export const readFrequencies = Effect.fnUntraced(function* (model: Model, path: string | undefined) {
  const { blockCount, ffnWidth } = model.shape
  if (path === undefined) return Array.from({ length: blockCount }, () => new Float64Array(ffnWidth).fill(1))
  const { blocks, tokenCount } = yield* activationProfile.read(path, model)
  return blocks.map(({ firingCounts }) => Float64Array.from(firingCounts, (count) => count / tokenCount))
})

/** A block's neurons, those that fire most often first; of equals the one with the lower id. */
export const hottestFirst = (frequencies: Float64Array): Uint32Array =>
  Uint32Array.from(frequencies.keys()).sort((a, b) => frequencies[b]! - frequencies[a]! || a - b)

/** [device]: bytes of the neurons it holds. `heldBytes`: of one neuron, by block. */
export const heldByDevice = (deviceCount: number, heldBytes: ReadonlyArray<number>, owners: Owners): Array<number> => {
  const held = Array.from({ length: deviceCount }, () => 0)
  owners.forEach((block, index) =>
    countOwned(block, deviceCount).forEach((count, device) => (held[device]! += count * heldBytes[index]!))
  )
  return held
}

/** Whether every device has room for its neurons. */
export const fits = ({ devices, heldBytes, roomBytes }: PlacementProblem, owners: Owners): boolean =>
  heldByDevice(devices.length, heldBytes, owners).every((bytes, device) => bytes <= roomBytes[device]!)

/** Σ over the neurons of the devices other than the slowest: how many neurons that fire for a token are on fast devices. */
export const fastFrequency = ({ frequencies, fastestFirst }: PlacementProblem, owners: Owners): number => {
  const slowest = fastestFirst.at(-1)!
  return owners.reduce(
    (sum, block, index) =>
      block.reduce((part, owner, neuron) => part + (owner === slowest ? 0 : frequencies[index]![neuron]!), sum),
    0
  )
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`
