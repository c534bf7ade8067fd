// How does a file come under the eyes of native code?
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { openHandle } from "./open_handle.ts"
import type { Powerinfer } from "./powerinfer.ts"
import type { NativeCallFailed } from "./status.ts"

/** What mapping needs, for who opens the library anyway. */
export const mapFileSymbols = {
  powerinfer_file_open: { args: ["buf", "u32", "buf"], ret: "i32" },
  powerinfer_file_close: { args: ["u32"], ret: "i32" }
} as const

/** Maps a file for native calls, until the scope closes. Fails where it is missing, empty or no regular file. */
export const mapFile = (
  native: Powerinfer<typeof mapFileSymbols>,
  path: string
): Effect.Effect<number, NativeCallFailed, Scope.Scope> => {
  const bytes = new TextEncoder().encode(path)
  return openHandle(
    native,
    "powerinfer_file_open",
    (out) => native.symbols.powerinfer_file_open(bytes, bytes.length, out),
    (file) => native.symbols.powerinfer_file_close(file)
  )
}
