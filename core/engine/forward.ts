// One forward pass: a batch of rows through every block.
import type { FfnPartial } from "../backend.ts"
import type { Batch, HiddenRows } from "../batch.ts"
import { NeuronSet } from "../neuron_set.ts"
import { selectorOfBlock } from "../predictor.ts"
import type { ActiveNeurons, DeviceNeurons } from "./divide.ts"
import type { OpenPlan } from "./open_plan.ts"

/** Runs a batch through every block. Returns f32[logit_count, vocabulary_size], valid until the next batch; undefined if interrupted between blocks. */
export type Forward = (batch: Batch, interrupted?: () => boolean) => Float32Array | undefined

/** Sees what goes into a block's FFN before the FFN runs; the home's `activations` can be asked for now. */
export type OnHidden = (block: number, hidden: HiddenRows, batch: Batch) => void

/** Prepares the buffers of the token loop, which then allocates nothing of its own. */
export const openForward = (plan: OpenPlan, onHidden?: OnHidden): Forward => {
  const { devices, home, homeIndex, selector, model } = plan
  const selected = new NeuronSet(model.shape.ffnWidth, plan.rowCountMax)
  const nothing = new NeuronSet(model.shape.ffnWidth, plan.rowCountMax)
  const neurons: Array<DeviceNeurons> = devices.map(() => "none")
  const partials: Array<FfnPartial> = []

  const forward: Forward = (batch, interrupted) => {
    const dense = selector.exact && batch.rowCount > plan.sparseRowCountMax
    const confirms = plan.confirms && !dense
    home.embed(batch)
    for (let block = 0; block < model.shape.blockCount; block++) {
      if (interrupted?.()) return undefined
      const hidden = home.attend(batch, block)
      onHidden?.(block, hidden, batch)
      let active: ActiveNeurons = "every"
      if (selectorOfBlock(selector, block).proposes === "some" && !dense) {
        plan.selections.bytes += selector.selectionBytes?.[block] ?? 0
        if (plan.selectedBy[block] !== "engine") active = "selected"
        else {
          selected.reset(batch.rowCount)
          selector.select(block, hidden, selected, batch)
          active = selected
        }
      }
      // Every share starts before any is merged: the devices work at the same time. The home always takes part: it adds down's bias.
      partials.length = 0
      const homeStarted = active === "selected" && plan.selectedBy[block] === "home"
      if (homeStarted) {
        const { native } = selectorOfBlock(selector, block)
        partials.push(home.startSelectedFfn!(block, hidden, native!, confirms))
        selected.reset(batch.rowCount)
        home.readSelected!(selected)
        active = selected
      }
      plan.divide(block, batch.rowCount, active, neurons)
      for (const device of plan.startOrder) {
        if (homeStarted && device === homeIndex) continue
        let part = neurons[device]!
        if (part === "none") {
          if (device !== homeIndex) continue
          nothing.rowCount = batch.rowCount
          part = nothing
        }
        partials.push(
          part === "selected"
            ? devices[device]!.startSelectedFfn!(block, hidden, selectorOfBlock(selector, block).native!, confirms)
            : devices[device]!.startFfn(block, hidden, part === "every" ? undefined : part, confirms)
        )
      }
      home.mergeFfn(block, partials)
    }
    return home.logits(batch)
  }
  return plan.profiler?.forward(forward) ?? forward
}
