// Is every neuron of every block on exactly one device?
import * as Effect from "effect/Effect"
import type { ModelShape } from "./model/model.ts"
import { type NeuronShare, PlacementImpossible, type PlacementPlan } from "./placement.ts"

/** Refuses a plan that names a device that is not there, or that leaves a neuron out or computes it twice. */
export const checkPlan = (
  plan: PlacementPlan,
  shape: Pick<ModelShape, "blockCount" | "ffnWidth">,
  deviceCount: number,
  policy = "its placement policy"
): Effect.Effect<void, PlacementImpossible> => {
  const reason = whatIsWrong(plan, shape, deviceCount)
  return reason === undefined ? Effect.void : Effect.fail(new PlacementImpossible({ policy, reason }))
}

const whatIsWrong = (
  { home, shares }: PlacementPlan,
  { blockCount, ffnWidth }: Pick<ModelShape, "blockCount" | "ffnWidth">,
  deviceCount: number
): string | undefined => {
  if (!(Number.isInteger(home) && home >= 0 && home < deviceCount)) {
    return `the home is device ${home} of ${deviceCount}`
  }
  if (shares.length !== blockCount) return `the plan has ${shares.length} blocks, the model ${blockCount}`
  for (const [block, devices] of shares.entries()) {
    if (devices.length !== deviceCount) {
      return `block ${block} has shares for ${devices.length} devices, there are ${deviceCount}`
    }
    const wrong = whatIsWrongInBlock(devices, ffnWidth)
    if (wrong !== undefined) return `block ${block} ${wrong}`
  }
  return undefined
}

const whatIsWrongInBlock = (devices: ReadonlyArray<NeuronShare>, ffnWidth: number): string | undefined => {
  const wordCount = Math.ceil(ffnWidth / 32)
  for (let word = 0; word < wordCount; word++) {
    // Bits of the last word at ffn_width and above belong to no neuron.
    const neuronsInWord = Math.min(32, ffnWidth - word * 32)
    const wanted = (neuronsInWord === 32 ? 0xffff_ffff : 2 ** neuronsInWord - 1) | 0
    let seen = 0
    for (const [device, share] of devices.entries()) {
      if (typeof share !== "string" && share.length !== wordCount) {
        return `has a share of ${share.length} words for device ${device}, ${ffnWidth} neurons take ${wordCount}`
      }
      const bits = share === "all" ? wanted : share === "none" ? 0 : share[word]! | 0
      if (bits & ~wanted) return `has neurons at ${ffnWidth} or above on device ${device}`
      if (seen & bits) return `has neuron ${lowestNeuron(word, seen & bits)} on two devices`
      seen |= bits
    }
    if (seen !== wanted) return `has neuron ${lowestNeuron(word, wanted & ~seen)} on no device`
  }
  return undefined
}

const lowestNeuron = (word: number, bits: number): number => word * 32 + 31 - Math.clz32(bits & -bits)
