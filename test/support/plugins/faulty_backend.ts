// A backend for tests that breaks its contract in one way, which its option names; in all others it is the reference backend.
import { definePlugin, type Device, type HiddenRows } from "@powerinfer/core"
import { Effect, Schema } from "effect"
import { oracle as wrapped } from "../plans.ts"

const faults = [
  "facts throws",
  "open returns half a device",
  "attend throws",
  "attend returns other rows",
  "startFfn returns infinity"
] as const

type Fault = (typeof faults)[number]

const broken = (fault: Fault, device: Device): Partial<Device> => {
  switch (fault) {
    case "attend throws":
      return {
        attend: () => {
          throw new Error("the device has gone")
        }
      }
    case "attend returns other rows":
      return {
        attend: (batch, block): HiddenRows => ({ ...device.attend(batch, block), rowCount: batch.rowCount + 1 })
      }
    case "startFfn returns infinity":
      return { startFfn: (_block, hidden) => ({ wait: () => hidden.values.slice().fill(Number.POSITIVE_INFINITY) }) }
    default:
      return {}
  }
}

const functions = ["openCache", "embed", "attend", "activations", "startFfn", "mergeFfn", "logits", "counters"] as const

export default definePlugin({
  kind: "backend",
  name: "faulty_backend",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ fault: Schema.Literals(faults) }),
  facts: ({ fault }) => {
    if (fault === "facts throws") throw new Error("nobody knows")
    return wrapped.facts({})
  },
  open: ({ fault }, context) =>
    Effect.map(wrapped.open({}, context), (device) => {
      if (fault === "open returns half a device") return { name: "half" } as Device
      const methods = Object.fromEntries(functions.map((name) => [name, (device[name] as () => void).bind(device)]))
      return { name: "faulty", ...methods, ...broken(fault, device) } as Device
    })
})
