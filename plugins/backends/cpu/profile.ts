// Where does the CPU's time go? The stages of libpowerinfer under their names.
import type { DeviceProfile, Phase } from "@powerinfer/core"
import type { NativeModel } from "./device.ts"

/** By POWERINFER_STAGE_x. */
const stageNames = [
  "embed",
  "norm, quantize",
  "q, k, v",
  "rope, cache write",
  "attention",
  "attention output",
  "gate, up",
  "down",
  "merge",
  "logits"
] as const

/** POWERINFER_PHASE_x */
const phaseNumbers: { readonly [P in Phase]: number } = { decode: 0, prefill: 1 }

/** sizeof(powerinfer_stage) */
const stageBytes = 32

export const openProfile = ({ handle, native: { check, symbols } }: NativeModel): DeviceProfile => {
  const totals = new DataView(new ArrayBuffer(stageBytes))
  totals.setUint32(0, stageBytes, true)
  return {
    start: () => check("powerinfer_profile_start", symbols.powerinfer_profile_start(handle)),
    read: (phase) =>
      stageNames.map((stage, number) => {
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
