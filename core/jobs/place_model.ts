// Who should hold which neuron of a model, and how fast is that? From profile, devices and policy to a plan with its prediction.
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import { activationProfile } from "../artifacts/activation_profile.ts"
import { identityOf } from "../artifacts/artifact.ts"
import { type PlanFile, type PlannedDevice, writeShares } from "../artifacts/placement_plan.ts"
import type { CacheType } from "../backend.ts"
import { estimateMemory } from "../model/memory.ts"
import type { Model } from "../model/model.ts"
import { checkPlan } from "../plan.ts"
import type { DeviceFacts, PlacementPlan } from "../placement.ts"
import { openGuarded, openTimeoutsMs } from "../plugin_host/guard.ts"
import { decodeOptions, loadPlugin } from "../plugin_host/load_plugin.ts"
import type { PluginUse } from "../plugin.ts"
import { neuronBytes } from "../placing/block_costs.ts"
import { countOwned, ownedBy, type Owners, ownersOf, sharesOf } from "../placing/owners.ts"
import { heldByDevice, homeMemoryBytes, readFrequencies, shareMemoryBytes } from "../placing/problem.ts"
import { predictSpeed, type Selection, type SpeedPrediction } from "../placing/speed_model.ts"

export interface PlaceOptions {
  readonly model: Model
  readonly devices: ReadonlyArray<PlannedDevice & DeviceFacts>
  readonly devicesPresent: boolean
  readonly policy: PluginUse<"placement">
  /** Path of an activation profile. */
  readonly profile?: string | undefined
  /** Without a profile: how often neurons fire, all alike; default 1. */
  readonly activeShare?: number | undefined
  readonly selection: Selection
  /** Positions of the KV caches that are reserved for; the prediction is for half of them. */
  readonly contextLength: number
  readonly cacheType: CacheType
  /** Weights of the predictor: in the home's memory, and read for every token. */
  readonly predictorBytes: number
  readonly rowCountMax: number
}

/** What a device has of a plan. */
export interface DeviceLoad {
  /** [block]: share of its neurons. */
  readonly shares: ReadonlyArray<number>
  /** Of all neurons, and of all firing. */
  readonly neuronShare: number
  readonly firingShare: number
  readonly neuronBytes: number
  /** Of the home: embeddings, attention, KV cache, predictor; of others with neurons the workspace. */
  readonly otherBytes: number
}

/** A plan, and what there is to say about it. */
export interface PlacedModel {
  readonly file: PlanFile
  readonly owners: Owners
  readonly frequencies: ReadonlyArray<Float64Array>
  readonly loads: ReadonlyArray<DeviceLoad>
  readonly prediction: SpeedPrediction | undefined
  /** Everything on one device, for comparison; `fits`: whether it has the memory. */
  readonly alone: ReadonlyArray<{
    readonly device: number
    readonly fits: boolean
    readonly prediction: SpeedPrediction | undefined
  }>
}

/**
 * Makes a plan and predicts its speed.
 *
 * - fails  as the policy does; `PluginUnavailable`, `PluginIncompatible` or `PluginFault` where it cannot be had; `StaleArtifact`, `ArtifactUnreadable`
 *          for the profile
 */
export const placeModel = Effect.fnUntraced(function* (options: PlaceOptions) {
  const { model, devices, selection, contextLength, cacheType, predictorBytes } = options
  const { ffnWidth, blockCount } = model.shape
  const memory = estimateMemory(model, { contextLength, cacheType, rowCountMax: options.rowCountMax })
  const reservedBytes = { cacheBytes: memory.cacheBytes, predictorBytes, workspaceBytes: memory.workspaceBytes }
  const loaded = yield* loadPlugin(options.policy)
  const { plugin } = loaded
  const context = { model, devices, reservedBytes }
  const plan: PlacementPlan = yield* Effect.scoped(openGuarded(loaded, context, openTimeoutsMs.placement))
  yield* checkPlan(plan, model.shape, devices.length, plugin.name)

  const frequencies =
    options.profile === undefined
      ? Array.from({ length: blockCount }, () => new Float64Array(ffnWidth).fill(options.activeShare ?? 1))
      : yield* readFrequencies(model, options.profile)
  const cachePositions = Math.floor(contextLength / 2)
  const predict = (predicted: PlacementPlan) =>
    predictSpeed({
      model,
      plan: predicted,
      devices,
      frequencies,
      selection,
      predictorBytesPerToken: predictorBytes,
      cacheType,
      cachePositions
    })
  const owners = ownersOf(plan, ffnWidth)
  const prediction = predict(plan)
  const heldBytes = neuronBytes(model).map(({ held }) => held)
  const held = heldByDevice(devices.length, heldBytes, owners)
  const homeBytes = (device: number) => homeMemoryBytes(model, reservedBytes, devices[device])
  const otherBytes = (device: number) => {
    if (device === plan.home) return homeBytes(device)
    return held[device] === 0 ? 0 : shareMemoryBytes(reservedBytes, devices[device])
  }
  const neurons = heldBytes.reduce((sum, bytes) => sum + bytes * ffnWidth, 0)
  const counts = owners.map((block) => countOwned(block, devices.length))
  const firing = firingByDevice(frequencies, owners, devices.length)
  const profile = yield* profileFacts(options.profile)
  const decoded = yield* decodeOptions(plugin, options.policy.options)

  const file: PlanFile = {
    model: yield* identityOf(model),
    home: plan.home,
    devices,
    devicesPresent: options.devicesPresent,
    policy: { name: plugin.name, version: plugin.version, options: decoded as Readonly<Record<string, unknown>> },
    ...(profile && { profile }),
    contextLength,
    cacheType,
    reservedBytes,
    shares: writeShares(plan.shares),
    notes: plan.notes ?? [],
    ...(prediction && {
      prediction: {
        tokensPerSecond: prediction.tokensPerSecond,
        bytesPerToken: prediction.bytesPerToken,
        cachePositions,
        selection: {
          proposes: selection.proposes,
          confirms: selection.confirms,
          ...(selection.candidateShare !== undefined && { candidateShare: selection.candidateShare })
        },
        seconds: prediction.seconds
      }
    })
  }
  const placed: PlacedModel = {
    file,
    owners,
    frequencies,
    prediction,
    loads: devices.map((_, device) => ({
      shares: counts.map((count) => count[device]! / ffnWidth),
      neuronShare: counts.reduce((sum, count) => sum + count[device]!, 0) / (ffnWidth * blockCount),
      firingShare: firing[device]!,
      neuronBytes: held[device]! * (devices[device]!.modelMemory?.neuronScale ?? 1),
      otherBytes: otherBytes(device)
    })),
    alone: devices.map(({ memoryBytes, modelMemory }, device) => ({
      device,
      fits: homeBytes(device) + neurons * (modelMemory?.neuronScale ?? 1) <= memoryBytes,
      prediction: predict({ home: device, shares: sharesOf(ownedBy(device, blockCount, ffnWidth), devices.length) })
    }))
  }
  return placed
})

/** [device]: the share of all firing that its neurons do. */
const firingByDevice = (
  frequencies: ReadonlyArray<Float64Array>,
  owners: Owners,
  deviceCount: number
): ReadonlyArray<number> => {
  const firing = Array.from({ length: deviceCount }, () => 0)
  owners.forEach((block, index) => block.forEach((owner, neuron) => (firing[owner]! += frequencies[index]![neuron]!)))
  const all = firing.reduce((sum, part) => sum + part, 0)
  return firing.map((part) => (all === 0 ? 0 : part / all))
}

const profileFacts = Effect.fnUntraced(function* (path: string | undefined) {
  if (path === undefined) return undefined
  const { tokenCount } = yield* activationProfile.read(path)
  return { sha256: createHash("sha256").update(readFileSync(path)).digest("hex"), tokenCount }
})
