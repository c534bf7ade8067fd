// Which of the active neurons does each device compute?
import { NeuronSet } from "../neuron_set.ts"
import type { PlacementPlan } from "../placement.ts"

/** What a batch wants of a block: a set, "every" (all neurons of all rows), or "selected" (what the device's native side selects itself). */
export type ActiveNeurons = NeuronSet | "every" | "selected"

/** A device's part of it; "none": nothing to start. */
export type DeviceNeurons = ActiveNeurons | "none"

/**
 * Divides one block's active neurons between the devices of a plan.
 *
 * - `active`   "selected" only where one device holds the whole block; "every" is passed on to devices that keep to their share
 * - `into`     [device_count], overwritten; the sets are reused by the next call
 */
export type DivideNeurons = (block: number, rowCount: number, active: ActiveNeurons, into: Array<DeviceNeurons>) => void

/** Whether any block's neurons live on more than one device. */
export const dividesBlocks = (plan: PlacementPlan): boolean =>
  plan.shares.some((block) => block.some((share) => typeof share !== "string"))

/** Prepares the sets that a plan needs: none if every block lives on one device, which then gets the selection as it is. */
export const openDivision = (
  plan: PlacementPlan,
  ffnWidth: number,
  rowCountMax: number,
  keepsToShare: ReadonlyArray<boolean> = []
): DivideNeurons => {
  const divided = dividesBlocks(plan)
  const deviceCount = plan.shares[0]?.length ?? 0
  const parts = divided ? Array.from({ length: deviceCount }, () => new NeuronSet(ffnWidth, rowCountMax)) : []
  const everyNeuron = new NeuronSet(ffnWidth, divided ? rowCountMax : 0)
  everyNeuron.rowCount = everyNeuron.rowCountMax
  everyNeuron.fill()

  return (block, rowCount, active, into) => {
    const shares = plan.shares[block]!
    for (let device = 0; device < shares.length; device++) {
      const share = shares[device]!
      if (share === "all") into[device] = active
      else if (share === "none") into[device] = "none"
      else if (active === "every" && keepsToShare[device]) into[device] = "every"
      else {
        everyNeuron.rowCount = rowCount
        const part = parts[device]!
        part.intersect(typeof active === "string" ? everyNeuron : active, share)
        into[device] = part
      }
    }
  }
}
