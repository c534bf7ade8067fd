// powerinfer devices: what can this machine run models on?
import { cpus } from "node:os"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  bindPlugin,
  type DeviceFacts,
  importPlugin,
  loadPlugin,
  type MemoryAvailable,
  type PluginUse,
  readMeasuredMachine
} from "powerinfer"
import { findPlugin } from "../find_plugin.ts"
import { print, printJson } from "../output.ts"
import { knownPlugins } from "../plugins.ts"
import { withProgress } from "../progress.ts"
import { formatBytes } from "../quantities.ts"

export interface DevicesInput {
  readonly backend: ReadonlyArray<string>
  readonly measureAgain: boolean
  readonly json: boolean
}

/** Names every device with what its speed depends on: the CPU, then what backends find that look for devices. */
export const devices = Effect.fnUntraced(function* (input: DevicesInput) {
  const measuring = input.measureAgain ? "again" : "once"
  const found = yield* withProgress(
    "Measuring devices",
    Effect.fnUntraced(function* () {
      const cpu = yield* readMeasuredMachine(measuring)
      return { cpu, others: yield* Effect.forEach(yield* searched(input.backend), (use) => search(use, measuring)) }
    })
  )
  const { machine, bandwidthBytesPerSecond = 0 } = found.cpu
  const processor = cpus()[0]?.model ?? process.arch
  const others = found.others.flatMap(({ devices: here }) => here)
  const absent = found.others.flatMap(({ backend, reason }) => (reason === undefined ? [] : [{ backend, reason }]))
  if (input.json) {
    const cpu = {
      name: "cpu",
      processor,
      isas: machine.isas,
      core_count: machine.coreCount,
      memory_bytes: machine.memoryBytes,
      memory_available_bytes: machine.memoryAvailableBytes,
      bandwidth_bytes_per_s: bandwidthBytesPerSecond
    }
    return yield* printJson({ devices: [cpu, ...others.map(deviceJson)], absent })
  }
  const cpu = [
    `cpu  ${processor}`,
    `     instruction sets  ${machine.isas.join(", ")}`,
    `     cores             ${machine.coreCount}`,
    `     memory            ${formatBytes(machine.memoryBytes)}, ${formatBytes(machine.memoryAvailableBytes)} available`,
    `     bandwidth         ${formatBytes(bandwidthBytesPerSecond)}/s, read by all cores`,
    ""
  ]
  const lines = [
    ...cpu,
    ...others.flatMap(deviceLines),
    ...absent.map(({ backend, reason }) => `${backend}: ${reason}`)
  ]
  yield* print(`${lines.join("\n").trimEnd()}\n`)
})

/** A device that a backend found. */
interface FoundDevice {
  readonly facts: DeviceFacts & Partial<MemoryAvailable>
  /** As `--backend` takes it. */
  readonly runsWith: string
}

/** Those that were asked for; else those of all known backends that look for devices. */
const searched = Effect.fnUntraced(function* (named: ReadonlyArray<string>) {
  if (named.length > 0) return yield* Effect.forEach(named, (text) => findPlugin("backend", text))
  const uses: Array<PluginUse<"backend">> = []
  for (const { kind, name, module } of yield* knownPlugins) {
    if (kind !== "backend") continue
    const plugin = yield* importPlugin(kind, name, module)
    if (plugin.devices !== undefined) uses.push({ kind, name, module, options: {} })
  }
  return uses
})

/** The devices of a backend, or why it has none. */
const search = Effect.fnUntraced(function* (use: PluginUse<"backend">, measuring: "once" | "again") {
  const { plugin, backend } = yield* loadPlugin(use)
  const { name } = plugin
  const look = Effect.gen(function* () {
    const found = (yield* backend.devices?.() ?? Effect.succeed([use.options])) as ReadonlyArray<PluginUse["options"]>
    return yield* Effect.forEach(
      found,
      Effect.fnUntraced(function* (options) {
        const { backend: one } = yield* bindPlugin(plugin, options)
        const facts: FoundDevice["facts"] = yield* one.measure?.(measuring) ?? one.facts()
        const device: FoundDevice = { facts, runsWith: runsWith(name, options) }
        return device
      })
    )
  })
  const answer = yield* Effect.result(look)
  const none = (reason: string) => ({ backend: name, devices: [], reason })
  if (Result.isFailure(answer)) return none(answer.failure.message)
  if (answer.success.length > 0) return { backend: name, devices: answer.success, reason: undefined }
  return none(`its library is not here; --backend ${name} builds it where that can be done`)
})

const runsWith = (name: string, options: PluginUse["options"]): string => {
  const settings = Object.entries(options).map(([key, value]) => `${key}=${String(value)}`)
  return settings.length === 0 ? name : `${name}:${settings.join(",")}`
}

const deviceJson = ({ facts, runsWith: backend }: FoundDevice) => ({
  name: facts.name,
  runs_with: backend,
  memory_bytes: facts.memoryBytes,
  ...(facts.memoryAvailableBytes !== undefined && { memory_available_bytes: facts.memoryAvailableBytes }),
  ...(facts.bandwidthBytesPerSecond !== undefined && { bandwidth_bytes_per_s: facts.bandwidthBytesPerSecond }),
  ...(facts.handOffSeconds !== undefined && { hand_off_s: facts.handOffSeconds })
})

const deviceLines = ({ facts, runsWith: backend }: FoundDevice): ReadonlyArray<string> => [
  `${facts.name}`,
  `     runs with         --backend ${backend}`,
  `     memory            ${formatBytes(facts.memoryBytes)} to fill${facts.memoryAvailableBytes === undefined ? "" : `, ${formatBytes(facts.memoryAvailableBytes)} free`}`,
  ...(facts.bandwidthBytesPerSecond === undefined
    ? []
    : [`     bandwidth         ${formatBytes(facts.bandwidthBytesPerSecond)}/s, read by the whole device`]),
  ...(facts.handOffSeconds === undefined
    ? []
    : [
        `     hand-off          ${(facts.handOffSeconds * 1e6).toFixed(1)} µs: a hidden vector to the host, a partial sum back`
      ]),
  ""
]
