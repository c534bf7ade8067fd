// What have all devices of a plan read and computed?
import type { DeviceCounters } from "../backend.ts"
import type { OpenPlan } from "./open_plan.ts"

/** What a plan has read and computed. `weightBytes` is everything; of it, `ffnBytes` are the FFN's, `predictorBytes` the predictor's own. */
export interface PlanCounters extends DeviceCounters {
  readonly predictorBytes: number
}

/** Of all devices together; rows and the neurons asked for are the home's: every device sees the same ones. */
export const planCounters = (plan: OpenPlan): PlanCounters => {
  const total = plan.devices.map((device) => device.counters())
  const sum = (key: keyof DeviceCounters) => total.reduce((all, counters) => all + counters[key], 0)
  const { rowCount, neuronCount } = plan.home.counters()
  return {
    rowCount,
    weightBytes: sum("weightBytes") + plan.selections.bytes,
    ffnBytes: sum("ffnBytes"),
    cacheBytes: sum("cacheBytes"),
    neuronCount,
    neuronComputedCount: sum("neuronComputedCount"),
    predictorBytes: plan.selections.bytes
  }
}
