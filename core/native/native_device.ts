// How does a backend that is a native library become a device?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import {
  BackendFailure,
  type CacheType,
  cacheTypes,
  type Device,
  type DeviceContext,
  NotEnoughMemory
} from "../backend.ts"
import type { PluginKernels } from "../plugin.ts"
import { bindModel } from "./bind_model.ts"
import { type BatchCalls, openDataPlane } from "./data_plane.ts"
import type { NativeSelector } from "../predictor.ts"
import type { NativeBuffer, NativeLibraryError, Symbols } from "./library.ts"
import { mapFile, mapFileSymbols } from "./map_file.ts"
import { nativeShape } from "./model_shape.ts"
import { openHandle } from "./open_handle.ts"
import { loadPluginLibrary, type PluginLibraryFacts } from "./plugin_library.ts"
import { handOver, type NativeSettings, settingSymbols } from "./plugin_settings.ts"
import { loadPowerinfer } from "./powerinfer.ts"
import { type NativeCallFailed, Status } from "./status.ts"

const symbols = {
  ...mapFileSymbols,
  powerinfer_device_new: { args: ["u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_device_option: settingSymbols.option,
  powerinfer_device_array: settingSymbols.array,
  powerinfer_device_share: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_device_bind: { args: ["u32", "u32", "u32", "u32", "f64", "u32", "u32", "u32"], ret: "i32" },
  powerinfer_device_rope: { args: ["u32", "buf", "u32"], ret: "i32" },
  powerinfer_device_ready: { args: ["u32"], ret: "i32" },
  powerinfer_device_cache_open: { args: ["u32", "u32", "u32", "buf"], ret: "i32" },
  powerinfer_device_cache_close: { args: ["u32", "u32"], ret: "i32" },
  powerinfer_device_embed: { args: ["u32", "buf", "u32"], ret: "i32" },
  powerinfer_device_attend: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_device_activations: { args: ["u32", "u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_device_ffn: { args: ["u32", "u32", "buf", "u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_device_ffn_selected: { args: ["u32", "u32", "buf", "u32", "u32", "u32", "buf"], ret: "i32" },
  powerinfer_device_hidden: { args: ["u32", "buf"], ret: "i32" },
  powerinfer_device_prepare: { args: ["u32", "u32"], ret: "i32" },
  powerinfer_device_selected: { args: ["u32", "buf"], ret: "i32" },
  powerinfer_device_ffn_wait: { args: ["u32"], ret: "i32" },
  powerinfer_device_merge: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_device_logits: { args: ["u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_device_counters_read: { args: ["u32", "buf"], ret: "i32" },
  powerinfer_device_close: { args: ["u32"], ret: "i32" }
} as const

/** Of the native library: no memory holds more. */
const positionCountMax = 2 ** 24

/**
 * Opens the device of a plugin's native library until the scope closes: the model's files are mapped, and every tensor is handed over where it
 * lies in them.
 *
 * - fails  with `NativeLibraryError` if the library cannot be had; with `BackendFailure` if it refuses, in its own words; `NotEnoughMemory`
 */
export const openNativeDevice = Effect.fnUntraced(function* (
  kernels: PluginKernels,
  { model, shares, home, rowCountMax }: DeviceContext,
  settings: NativeSettings = {}
): Effect.fn.Return<Device, BackendFailure | NotEnoughMemory | NativeLibraryError, Scope.Scope> {
  const library = yield* loadPluginLibrary(kernels)
  const { name } = library.facts
  const native = yield* loadPowerinfer(symbols)
  const { symbols: calls, failed } = native
  const words = ({ reason }: NativeCallFailed) => new BackendFailure({ backend: name, reason })

  const files = yield* Effect.forEach(model.gguf.files, ({ path }) => mapFile(native, path)).pipe(
    Effect.mapError(words)
  )
  const device = yield* openHandle(
    native,
    "powerinfer_device_new",
    (out) => calls.powerinfer_device_new(library.handle, nativeShape(model.shape, rowCountMax), Number(home), out),
    (handle) => calls.powerinfer_device_close(handle)
  ).pipe(Effect.mapError(words))
  const option = calls.powerinfer_device_option.bind(undefined, device)
  const array = calls.powerinfer_device_array.bind(undefined, device)
  yield* Effect.mapError(handOver(native, "device", { option, array }, settings), words)
  for (const [block, share] of shares.entries()) {
    if (share === "all") continue
    const neurons = share === "none" ? new Uint32Array(Math.ceil(model.shape.ffnWidth / 32)) : share
    const status = calls.powerinfer_device_share(device, block, neurons)
    if (status < 0) return yield* words(failed("powerinfer_device_share", status))
  }
  yield* bindModel(model, {
    native,
    bind: (role, block, tensor, ...range) =>
      calls.powerinfer_device_bind(device, role, block, files[tensor.file]!, ...range),
    rope: (frequencies) => calls.powerinfer_device_rope(device, frequencies, frequencies.length)
  }).pipe(Effect.mapError((reason) => new BackendFailure({ backend: name, reason })))
  const status = calls.powerinfer_device_ready(device)
  if (status < 0) {
    return yield* failure(name, failed("powerinfer_device_ready", status), "weights and workspace")
  }

  const dataPlane = openDataPlane({
    name,
    calls: batchCalls(calls, device, library.facts),
    check: native.check,
    shape: model.shape,
    rowCountMax,
    home,
    selectsInPlace: library.facts.selectsInPlace
  })
  const openCache = (positionCount: number, type: CacheType) => {
    const purpose = `a KV cache of ${positionCount} positions`
    if (positionCount > positionCountMax) {
      const reason = `no device holds more than ${positionCountMax}; lower --ctx`
      return Effect.fail(new NotEnoughMemory({ purpose, reason }))
    }
    return openHandle(
      native,
      "powerinfer_device_cache_open",
      (out) => calls.powerinfer_device_cache_open(device, positionCount, cacheTypes.indexOf(type), out),
      (cache) => calls.powerinfer_device_cache_close(device, cache)
    ).pipe(Effect.mapError((refused) => failure(name, refused, purpose)))
  }
  const prepareSelector = ({ predictor }: NativeSelector) =>
    Effect.suspend(() => {
      const status = calls.powerinfer_device_prepare(device, predictor)
      if (status >= 0) return Effect.succeed(true)
      if (status === Status.unsupported) return Effect.succeed(false)
      return Effect.fail(failure(name, failed("powerinfer_device_prepare", status), "the predictor"))
    })
  return { ...dataPlane, openCache, prepareSelector, keepsToShare: true }
})

/** Memory that the device has not got, or whatever else went wrong, in the library's words: "Cannot <action>: <state>". */
const failure = (
  backend: string,
  { status, reason }: NativeCallFailed,
  purpose: string
): BackendFailure | NotEnoughMemory =>
  status === Status.outOfMemory
    ? new NotEnoughMemory({ purpose, reason: reason.replace(/^Cannot [^:]*: /, "") })
    : new BackendFailure({ backend, reason })

const batchCalls = (calls: Symbols<typeof symbols>, device: number, { handsOver }: PluginLibraryFacts): BatchCalls => ({
  embed: (rows, rowCount) => calls.powerinfer_device_embed(device, rows, rowCount),
  attend: (block, hidden) => calls.powerinfer_device_attend(device, block, hidden),
  activations: (block, hidden, rowCount, into) =>
    calls.powerinfer_device_activations(device, block, hidden, rowCount, into),
  ffn: (block, hidden, rowCount, active, flags, partial) =>
    calls.powerinfer_device_ffn(device, block, hidden, rowCount, active, flags, partial),
  ffnSelected: (block, hidden, rowCount, predictor, flags, partial) =>
    calls.powerinfer_device_ffn_selected(device, block, hidden, rowCount, predictor, flags, partial),
  ...(handsOver && {
    hidden: (into: NativeBuffer) => calls.powerinfer_device_hidden(device, into),
    selected: (into: NativeBuffer) => calls.powerinfer_device_selected(device, into)
  }),
  ffnWait: () => calls.powerinfer_device_ffn_wait(device),
  merge: (block, partial) => calls.powerinfer_device_merge(device, block, partial),
  logits: (rows, count, logits) => calls.powerinfer_device_logits(device, rows, count, logits),
  counters: (counters) => calls.powerinfer_device_counters_read(device, counters)
})
