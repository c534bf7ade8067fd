// What do tests of placements place? Random problems, and tiny models with profiles of their own.
import { join } from "node:path"
import {
  activationProfile,
  type DeviceFacts,
  identityOf,
  type Model,
  type Owners,
  type PlacementProblem,
  randomFromSeed
} from "@powerinfer/core"
import { Effect } from "effect"

export interface ProblemShape {
  readonly blockCount: number
  readonly ffnWidth: number
  readonly deviceCount: number
  /** Every neuron weighs the same, as in most models. */
  readonly equalBytes?: boolean
  /** No two neurons fire equally often. */
  readonly distinct?: boolean
}

/** Frequencies fall off steeply; devices differ up to eightfold in speed, have some or no hand-off, and hold everything with a little to spare. */
export const randomProblem = (seed: number, shape: ProblemShape): PlacementProblem => {
  const { blockCount, ffnWidth, deviceCount, equalBytes = false, distinct = false } = shape
  const random = randomFromSeed(seed)
  const uniform = () => random.nextUniform()
  const heldBytes = Array.from({ length: blockCount }, () => (equalBytes ? 64 : 32 + Math.floor(uniform() * 3) * 16))
  const frequencies = Array.from({ length: blockCount }, () =>
    Float64Array.from({ length: ffnWidth }, () => {
      const frequency = uniform() ** 3
      return distinct ? frequency : Math.round(frequency * 8) / 8
    })
  )
  const all = heldBytes.reduce((sum, bytes) => sum + bytes * ffnWidth, 0)
  const handOff = uniform() < 0.3 ? 0 : uniform() * 2e-7
  const devices = Array.from({ length: deviceCount }, (_, device): DeviceFacts => ({
    name: `device ${device}`,
    memoryBytes: 0,
    bandwidthBytesPerSecond: 1e9 * (1 + 7 * uniform()),
    handOffSeconds: handOff * (1 + uniform()),
    ...(seed % 3 === 0 && { neuronOverheadSeconds: 2e-8 * uniform() })
  }))
  const fastestFirst = [...devices.keys()].toSorted(
    (a, b) => devices[b]!.bandwidthBytesPerSecond! - devices[a]!.bandwidthBytesPerSecond!
  )
  const parts = devices.map(() => uniform())
  const total = parts.reduce((sum, part) => sum + part, 0)
  const roomBytes = parts.map((part) => Math.ceil((1.05 * all * part) / total) + 128 * blockCount)
  return { devices, home: fastestFirst[0]!, ffnWidth, heldBytes, frequencies, roomBytes, fastestFirst }
}

/** [device]: bytes of its neurons, counted one by one. */
export const countedBytes = ({ devices, heldBytes }: PlacementProblem, owners: Owners): ReadonlyArray<number> =>
  devices.map((_, device) =>
    owners.reduce((sum, block, index) => sum + block.filter((owner) => owner === device).length * heldBytes[index]!, 0)
  )

/** Writes a profile of the model to the folder: the first neurons fire most often, each a little less than the one before. */
export const writeProfile = Effect.fnUntraced(function* (folder: string, model: Model) {
  const path = join(folder, "profile.json")
  const { blockCount, ffnWidth } = model.shape
  const tokenCount = 4 * ffnWidth
  yield* activationProfile.write(path, {
    model: yield* identityOf(model),
    tokenCount,
    corpora: [{ name: "made up", sha256: "0".repeat(64), tokenCount }],
    blocks: Array.from({ length: blockCount }, (_, block) => ({
      firingCounts: Array.from({ length: ffnWidth }, (_unused, neuron) =>
        Math.max(0, 2 * ffnWidth - 3 * neuron - block)
      ),
      meanMagnitudes: Array.from({ length: ffnWidth }, () => 1),
      overlap: [[1]],
      consecutiveOverlap: 0.5
    }))
  })
  return path
})
