// Which devices does a person describe in a file, so that plans can be made for machines that are not at hand?
import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ArtifactUnreadable } from "./artifact.ts"
import type { PlannedDevice } from "./placement_plan.ts"

const steps: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40
}
const bytesPattern = /^(\d+(?:\.\d+)?) ?([kMGT]?B|[KMGT]iB)$/

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const NotNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

const Entry = Schema.Struct({
  name: Schema.NonEmptyString,
  /** The backend that the device is at run time, where that has another name. */
  backend: Schema.optionalKey(Schema.NonEmptyString),
  memory_bytes: Schema.Union([NotNegative, Schema.String.check(Schema.isPattern(bytesPattern))]),
  bandwidth_bytes_per_s: Schema.optionalKey(Positive),
  neuron_overhead_s: Schema.optionalKey(NotNegative),
  hand_off_s: Schema.optionalKey(NotNegative),
  token_overhead_s: Schema.optionalKey(NotNegative),
  /** For people: where the figures come from. */
  source: Schema.optionalKey(Schema.String),
  // What `powerinfer devices --json` says besides: no placement depends on it.
  processor: Schema.optionalKey(Schema.String),
  isas: Schema.optionalKey(Schema.Array(Schema.String)),
  core_count: Schema.optionalKey(Schema.Int),
  memory_available_bytes: Schema.optionalKey(NotNegative),
  runs_with: Schema.optionalKey(Schema.String)
})

/** Backends that have no device, and why: for people. */
const Absent = Schema.Struct({ backend: Schema.String, reason: Schema.String })

const DeviceFile = Schema.Struct({
  devices: Schema.NonEmptyArray(Entry),
  absent: Schema.optionalKey(Schema.Array(Absent))
})

/** "24 GiB" → 25769803776; undefined of what is no size. */
export const parseBytes = (text: string): number | undefined => {
  const [, number, unit] = bytesPattern.exec(text) ?? []
  return number === undefined || unit === undefined ? undefined : Math.floor(Number(number) * steps[unit]!)
}

/**
 * Reads a device file: JSON, `{"devices": [{"name", "memory_bytes", "bandwidth_bytes_per_s", "hand_off_s", …}]}`, in the order in which a plan names them.
 * What `powerinfer devices --json` prints is one.
 *
 * - fails  with `ArtifactUnreadable`, which names the place
 */
export const readDeviceFile = Effect.fnUntraced(function* (path: string) {
  const unreadable = (reason: string) =>
    new ArtifactUnreadable({ artifact: "device file", path, reason, madeBy: "powerinfer devices --json, or by hand" })
  const text = yield* Effect.try({
    try: () => readFileSync(path, "utf8"),
    catch: (cause) => unreadable((cause as Error).message)
  })
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) => unreadable(`it is no JSON (${(cause as Error).message})`)
  })
  // A mistyped key is a mistake, not a default.
  const { devices } = yield* Schema.decodeUnknownEffect(DeviceFile)(json, { onExcessProperty: "error" }).pipe(
    Effect.mapError(({ message }) => unreadable(message))
  )
  return devices.map((entry): PlannedDevice => ({
    name: entry.name,
    ...(entry.backend !== undefined && { backend: entry.backend }),
    memoryBytes: typeof entry.memory_bytes === "number" ? entry.memory_bytes : parseBytes(entry.memory_bytes)!,
    ...(entry.bandwidth_bytes_per_s !== undefined && { bandwidthBytesPerSecond: entry.bandwidth_bytes_per_s }),
    ...(entry.neuron_overhead_s !== undefined && { neuronOverheadSeconds: entry.neuron_overhead_s }),
    ...(entry.hand_off_s !== undefined && { handOffSeconds: entry.hand_off_s }),
    ...(entry.token_overhead_s !== undefined && { tokenOverheadSeconds: entry.token_overhead_s })
  }))
})

/** A device as such a file has it. */
export const deviceEntry = (device: PlannedDevice): typeof Entry.Encoded => ({
  name: device.name,
  ...(device.backend !== undefined && { backend: device.backend }),
  memory_bytes: device.memoryBytes,
  ...(device.bandwidthBytesPerSecond !== undefined && { bandwidth_bytes_per_s: device.bandwidthBytesPerSecond }),
  ...(device.neuronOverheadSeconds !== undefined && { neuron_overhead_s: device.neuronOverheadSeconds }),
  ...(device.handOffSeconds !== undefined && { hand_off_s: device.handOffSeconds }),
  ...(device.tokenOverheadSeconds !== undefined && { token_overhead_s: device.tokenOverheadSeconds })
})
