// How is it written down who holds which neuron, while a policy makes up its mind and once it has?
import type { NeuronShare, PlacementPlan } from "../placement.ts"
import type { PlacementProblem } from "./problem.ts"

/** [block][neuron]: the index of the device that holds it. 255 devices at most. */
export type Owners = ReadonlyArray<Uint8Array>

/** All neurons on one device. */
export const ownedBy = (device: number, blockCount: number, ffnWidth: number): Array<Uint8Array> =>
  Array.from({ length: blockCount }, () => new Uint8Array(ffnWidth).fill(device))

/** Bitsets for blocks that are divided, "all" and "none" for the others. */
export const sharesOf = (owners: Owners, deviceCount: number): PlacementPlan["shares"] =>
  owners.map((block) => {
    const counts = countOwned(block, deviceCount)
    return counts.map((count, device): NeuronShare => {
      if (count === block.length) return "all"
      if (count === 0) return "none"
      const bits = new Uint32Array(Math.ceil(block.length / 32))
      block.forEach((owner, neuron) => {
        if (owner === device) bits[neuron >>> 5]! |= 1 << (neuron & 31)
      })
      return bits
    })
  })

/** The plan of a problem, once it is known who owns what. */
export const planOf = (
  { home, devices }: Pick<PlacementProblem, "home" | "devices">,
  owners: Owners
): PlacementPlan => ({
  home,
  shares: sharesOf(owners, devices.length)
})

/** Of a plan that `checkPlan` accepts. */
export const ownersOf = ({ shares }: PlacementPlan, ffnWidth: number): Owners =>
  shares.map((devices) =>
    Uint8Array.from({ length: ffnWidth }, (_, neuron) => devices.findIndex((share) => holds(share, neuron)))
  )

const holds = (share: NeuronShare, neuron: number): boolean =>
  typeof share === "string" ? share === "all" : ((share[neuron >>> 5]! >>> (neuron & 31)) & 1) === 1

/** [device]: how many neurons of the block it holds. */
export const countOwned = (block: Uint8Array, deviceCount: number): Array<number> => {
  const counts = Array.from({ length: deviceCount }, () => 0)
  for (const owner of block) counts[owner]!++
  return counts
}
