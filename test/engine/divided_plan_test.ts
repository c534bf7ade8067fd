// Goal: a block divided between devices computes what one device computes, whoever is the home and whatever selects the neurons.
// Method: neurons in turn on the cpu and the reference backend, against the reference backend alone, through openPlan and forward.
import { expect, test } from "bun:test"
import { type PluginUse, usePlugin } from "@powerinfer/core"
import { cpu, everyNeuron, exactGate, reference, withPlan } from "../support/plans.ts"
import { largestError, logitsOf } from "../support/logits.ts"
import halves from "../support/plugins/halves.ts"
import largestShare from "../support/plugins/largest_share.ts"

const devices: ReadonlyArray<readonly [string, ReadonlyArray<PluginUse<"backend">>]> = [
  ["the cpu as home and the reference", [cpu(), reference]],
  ["the reference as home and the cpu", [reference, cpu()]],
  ["three devices", [cpu(), reference, cpu({ threads: 1 })]]
]
const topK = usePlugin(largestShare, { share: 0.2 })

for (const family of ["llama-gqa-relu", "falcon40-relu", "opt", "qwen2"]) {
  for (const predictor of [everyNeuron, exactGate, topK]) {
    for (const [names, backends] of devices) {
      test(`forward() on ${family} divided between ${names} equals one device, with ${predictor.name}`, async () => {
        const path = `test/golden/families/${family}.gguf`
        const whole = await withPlan(path, { backends: [reference], predictor }, logitsOf)
        const divided = await withPlan(path, { backends, predictor, placement: usePlugin(halves) }, logitsOf)
        // Logits have a standard deviation of about 1; the golden families allow the same error.
        expect(largestError(whole, divided)).toBeLessThan(1e-4)
      })
    }
  }
}
