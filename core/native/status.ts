// What does a status of the native library mean, and what becomes of a bad one?
import * as Schema from "effect/Schema"
import type { Symbols } from "./library.ts"

/** POWERINFER_x of powerinfer.h. */
export const Status = {
  ok: 0,
  invalidArgument: -1,
  invalidHandle: -2,
  fileError: -3,
  outOfMemory: -4,
  unsupported: -5,
  incomplete: -6,
  pluginFailed: -7
} as const

/**
 * A native call was refused. Where the world can cause it (opening files, models, caches) it becomes a typed failure of who opens; anywhere
 * else we broke a rule of powerinfer.h, and it is thrown as a defect.
 */
export class NativeCallFailed extends Schema.TaggedError<NativeCallFailed>()("NativeCallFailed", {
  call: Schema.String,
  status: Schema.Number,
  /** last_error's words: "Cannot <action>: <state>". */
  reason: Schema.String
}) {
  override get message() {
    return `${this.reason} (${this.call} returned ${this.status})`
  }
}

/** What reading the last error needs. */
export const lastErrorSymbols = {
  powerinfer_last_error: { args: ["buf", "u32"], ret: "u32" }
} as const

/** Bytes of error text that are kept. */
const textBytesMax = 1024

/** This thread's last failure, as the native library words it. */
export const nativeCallFailed = (
  symbols: Symbols<typeof lastErrorSymbols>,
  call: string,
  status: number
): NativeCallFailed => {
  const text = new Uint8Array(new ArrayBuffer(textBytesMax))
  const written = symbols.powerinfer_last_error(text, textBytesMax)
  return new NativeCallFailed({ call, status, reason: new TextDecoder().decode(text.subarray(0, written)) })
}
