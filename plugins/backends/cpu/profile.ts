// Where does the CPU's time go? The stages of libpowerinfer under their names.
import type { DeviceProfile, Phase } from "@powerinfer/core"
import type { Cpu } from "./cpu.ts"

/** Name and POWERINFER_STAGE_x, in the order of a forward pass. */
const stages = [
  ["embed", 0],
  ["norm, quantize", 1],
  ["q, k, v", 2],
  ["rope, cache write", 3],
  ["attention", 4],
  ["attention output", 5],
  ["select", 10],
  ["gate, up", 6],
  ["down", 7],
  ["merge", 8],
  ["logits", 9]
] as const

/** POWERINFER_PHASE_x */
const phaseNumbers: { readonly [P in Phase]: number } = { decode: 0, prefill: 1 }

/** sizeof(powerinfer_stage) */
const stageBytes = 32

export const openProfile = ({ native: { check, symbols } }: Cpu, handle: number): DeviceProfile => {
  const totals = new DataView(new ArrayBuffer(stageBytes))
  totals.setUint32(0, stageBytes, true)
  return {
    start: () => check("powerinfer_profile_start", symbols.powerinfer_profile_start(handle)),
    read: (phase) =>
      stages.map(([stage, number]) => {
        const status = symbols.powerinfer_profile_read(handle, phaseNumbers[phase], number, totals)
        check("powerinfer_profile_read", status)
        return {
          stage,
          callCount: totals.getFloat64(8, true),
          seconds: totals.getFloat64(16, true),
          bytes: totals.getFloat64(24, true)
        }
      })
  }
}
