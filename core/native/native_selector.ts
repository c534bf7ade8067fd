// How does a predictor whose kernels are native become a selector?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PluginKernels } from "../plugin.ts"
import { type NeuronSelector, type PredictorContext, PredictorFailure } from "../predictor.ts"
import type { NativeLibraryError } from "./library.ts"
import { nativeShape } from "./model_shape.ts"
import { openHandle } from "./open_handle.ts"
import { type BuiltinKernels, loadPluginLibrary } from "./plugin_library.ts"
import { handOver, type NativeSettings, settingSymbols } from "./plugin_settings.ts"
import { loadPowerinfer } from "./powerinfer.ts"

const symbols = {
  powerinfer_predictor_new: { args: ["u32", "buf", "buf"], ret: "i32" },
  powerinfer_predictor_option: settingSymbols.option,
  powerinfer_predictor_array: settingSymbols.array,
  powerinfer_predictor_open: { args: ["u32"], ret: "i32" },
  powerinfer_predictor_select: { args: ["u32", "u32", "u32", "buf", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_predictor_close: { args: ["u32"], ret: "i32" }
} as const

/** What the two halves of a predictor say to each other when it opens. */
export interface NativeSelectorSettings extends NativeSettings {
  /** `residual`: the kernel also reads the FFN input before its norm, which costs a copy where it is not called in place. Default `hidden`. */
  readonly reads?: "hidden" | "residual"
}

/**
 * Opens the predictor of a plugin's native library, or one that libpowerinfer brings itself, until the scope closes. A native device calls its kernel directly; for any other device
 * `select` calls it from here.
 *
 * - returns  a selector that proposes some neurons; `confirms` and `exact` are what the library says
 * - fails    with `NativeLibraryError` if the library cannot be had; with `PredictorFailure` if its open refuses, in its own words
 */
export const openNativeSelector = Effect.fnUntraced(function* (
  kernels: PluginKernels | BuiltinKernels,
  { model, rowCountMax }: PredictorContext,
  settings: NativeSelectorSettings = {}
): Effect.fn.Return<NeuronSelector, NativeLibraryError | PredictorFailure, Scope.Scope> {
  const library = yield* loadPluginLibrary(kernels)
  const { name, confirms, exact } = library.facts
  const native = yield* loadPowerinfer(symbols)
  const { symbols: calls, failed } = native

  const opening = Effect.gen(function* () {
    const handle = yield* openHandle(
      native,
      "powerinfer_predictor_new",
      (out) => calls.powerinfer_predictor_new(library.handle, nativeShape(model.shape, rowCountMax), out),
      (predictor) => calls.powerinfer_predictor_close(predictor)
    )
    const option = calls.powerinfer_predictor_option.bind(undefined, handle)
    const array = calls.powerinfer_predictor_array.bind(undefined, handle)
    yield* handOver(native, "predictor", { option, array }, settings)
    const status = calls.powerinfer_predictor_open(handle)
    return status < 0 ? yield* failed("powerinfer_predictor_open", status) : handle
  })
  const predictor = yield* Effect.mapError(opening, ({ reason }) => new PredictorFailure({ predictor: name, reason }))

  return {
    proposes: "some",
    confirms,
    exact,
    native: { predictor },
    select: (block, hidden, active) => {
      const residual = settings.reads === "residual" ? (hidden.residual ?? null) : null
      const { values, rowCount } = hidden
      const status = calls.powerinfer_predictor_select(predictor, 0, block, values, residual, rowCount, active.words)
      if (status < 0) throw failed("powerinfer_predictor_select", status)
    }
  }
})
