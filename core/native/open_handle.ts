// How is an object of the native library held exactly as long as it is needed?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SymbolDefinitions } from "./library.ts"
import type { Powerinfer } from "./powerinfer.ts"
import type { NativeCallFailed } from "./status.ts"

/**
 * Opens a native object until the scope closes.
 *
 * - `call`  the function that `open` calls, whose words a failure has
 */
export const openHandle = <Definitions extends SymbolDefinitions>(
  native: Powerinfer<Definitions>,
  call: keyof Definitions & string,
  open: (handle: Uint32Array) => number,
  close: (handle: number) => number
): Effect.Effect<number, NativeCallFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const handle = new Uint32Array(new ArrayBuffer(4))
      const status = open(handle)
      return status < 0 ? Effect.fail(native.failed(call, status)) : Effect.succeed(handle[0]!)
    }),
    (handle) => Effect.sync(() => void close(handle))
  )
