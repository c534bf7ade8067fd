// How do the options and weights of a plugin reach its native half?
import * as Effect from "effect/Effect"
import type { NativeBuffer } from "./library.ts"
import type { Powerinfer } from "./powerinfer.ts"
import type { NativeCallFailed } from "./status.ts"

/** What the two halves of a plugin say to each other when it opens. */
export interface NativeSettings {
  /** By name: numbers, booleans and texts as they are, anything else as JSON. Left out where undefined. */
  readonly options?: Readonly<Record<string, unknown>>
  /** Weights and tables, by name. Copied to a boundary of 64 bytes, where they stay until the plugin's object closes. */
  readonly arrays?: Readonly<Record<string, NativeBuffer>>
}

/** The functions that take settings, for a predictor or a device. */
export const settingSymbols = {
  option: { args: ["u32", "buf", "u32", "u32", "f64", "buf", "u32"], ret: "i32" },
  array: { args: ["u32", "buf", "u32", "buf", "f64"], ret: "i32" }
} as const

interface SettingCalls {
  readonly option: (...given: readonly [NativeBuffer, number, number, number, NativeBuffer, number]) => number
  readonly array: (...given: readonly [NativeBuffer, number, NativeBuffer, number]) => number
}

/** POWERINFER_OPTION_x */
const optionKinds = { number: 0, text: 1, boolean: 2 } as const
const utf8 = new TextEncoder()

/** Hands over options and arrays, in the order they are given. Fails with the call's own words. */
export const handOver = (
  { failed }: Pick<Powerinfer<{}>, "failed">,
  object: "predictor" | "device",
  calls: SettingCalls,
  { options = {}, arrays = {} }: NativeSettings
): Effect.Effect<void, NativeCallFailed> =>
  Effect.suspend(() => {
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue
      const named = utf8.encode(name)
      const kind =
        typeof value === "number" || typeof value === "boolean" ? (typeof value as "number" | "boolean") : "text"
      const text = utf8.encode(kind !== "text" ? "" : typeof value === "string" ? value : JSON.stringify(value))
      const number = kind === "text" ? 0 : Number(value)
      const status = calls.option(named, named.length, optionKinds[kind], number, text, text.length)
      if (status < 0) return Effect.fail(failed(`powerinfer_${object}_option`, status))
    }
    for (const [name, values] of Object.entries(arrays)) {
      const named = utf8.encode(name)
      const status = calls.array(named, named.length, values, values.byteLength)
      if (status < 0) return Effect.fail(failed(`powerinfer_${object}_array`, status))
    }
    return Effect.void
  })
