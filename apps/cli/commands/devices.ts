// powerinfer devices: what can this machine run models on?
import { cpus } from "node:os"
import { Effect } from "effect"
import { measureBandwidth, readMachine } from "powerinfer"
import { print, printJson } from "../output.ts"
import { withProgress } from "../progress.ts"
import { formatBytes } from "../quantities.ts"

/** Names every device with what its speed depends on. */
export const devices = Effect.fnUntraced(function* (input: { readonly json: boolean }) {
  const machine = yield* readMachine
  const bandwidth = yield* withProgress("Measuring memory bandwidth", () => measureBandwidth())
  const processor = cpus()[0]?.model ?? process.arch
  if (input.json) {
    const cpu = {
      name: "cpu",
      processor,
      isas: machine.isas,
      core_count: machine.coreCount,
      memory_bytes: machine.memoryBytes,
      memory_available_bytes: machine.memoryAvailableBytes,
      bandwidth_bytes_per_s: bandwidth
    }
    return yield* printJson({ devices: [cpu] })
  }
  yield* print(
    [
      `cpu  ${processor}`,
      `     instruction sets  ${machine.isas.join(", ")}`,
      `     cores             ${machine.coreCount}`,
      `     memory            ${formatBytes(machine.memoryBytes)}, ${formatBytes(machine.memoryAvailableBytes)} available`,
      `     bandwidth         ${formatBytes(bandwidth)}/s, read by all cores`,
      ""
    ].join("\n")
  )
})
