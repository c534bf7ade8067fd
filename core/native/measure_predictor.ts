// What does a native predictor cost over the same kernel linked into the library?
import * as Effect from "effect/Effect"
import type { HiddenRows } from "../batch.ts"
import type { NativeSelector } from "../predictor.ts"
import type { NativeLibraryError } from "./library.ts"
import { loadPowerinfer } from "./powerinfer.ts"

const symbols = {
  powerinfer_predictor_measure: { args: ["u32", "u32", "buf", "u32", "u32", "buf", "buf"], ret: "i32" }
} as const

/** Of one call, medians. */
export interface NativeSelectorCost {
  /** Through the kernel's function pointer: what it would cost built in. */
  readonly kernelSeconds: number
  /** As the library calls it: handle looked up, locks taken, arguments and result checked. */
  readonly callSeconds: number
}

/** Enough for a median that other processes do not move. */
const repetitionsDefault = 2001

/**
 * Measures a native predictor on the calling thread.
 *
 * - `hidden`  f32[row_count, hidden_width], rows of that block
 * - fails     with `NativeLibraryError`; a selection that fails is thrown as `NativeCallFailed`
 */
export const measureNativeSelector = (
  { predictor }: NativeSelector,
  block: number,
  hidden: HiddenRows,
  repetitions: number = repetitionsDefault
): Effect.Effect<NativeSelectorCost, NativeLibraryError> =>
  Effect.scoped(
    Effect.map(loadPowerinfer(symbols), ({ symbols: calls, check }) => {
      const kernel = new Float64Array(new ArrayBuffer(8))
      const call = new Float64Array(new ArrayBuffer(8))
      check(
        "powerinfer_predictor_measure",
        calls.powerinfer_predictor_measure(predictor, block, hidden.values, hidden.rowCount, repetitions, kernel, call)
      )
      return { kernelSeconds: kernel[0]!, callSeconds: call[0]! }
    })
  )
