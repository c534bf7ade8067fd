// What have all devices of a plan read and computed?
import type { DeviceCounters } from "../backend.ts"
import type { OpenPlan } from "./open_plan.ts"

/** Of all devices together; rows and the neurons asked for are the home's: every device sees the same ones. */
export const planCounters = (plan: OpenPlan): DeviceCounters => {
  const total = plan.devices.map((device) => device.counters())
  const sum = (key: keyof DeviceCounters) => total.reduce((all, counters) => all + counters[key], 0)
  const { rowCount, neuronCount } = plan.home.counters()
  return {
    rowCount,
    weightBytes: sum("weightBytes"),
    ffnBytes: sum("ffnBytes"),
    cacheBytes: sum("cacheBytes"),
    neuronCount,
    neuronComputedCount: sum("neuronComputedCount")
  }
}
