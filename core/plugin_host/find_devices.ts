// Which devices are here that a machine may have or not?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Model } from "../model/model.ts"
import type { PluginUse } from "../plugin.ts"
import type { PluginListing } from "./discover.ts"
import { importPlugin, loadPlugin } from "./load_plugin.ts"

/**
 * The first device of each backend that looks for devices and finds one that answers and runs the model. Nothing is built for it.
 *
 * - `model`     opened only where there is a device; absent: whatever a device can run
 * - `announce`  hears why what is installed cannot be used; what is not installed is passed over in silence
 */
export const findDevices = Effect.fnUntraced(function* <E>(
  plugins: ReadonlyArray<PluginListing>,
  model: Effect.Effect<Model, E> | undefined,
  announce: (line: string) => void
) {
  const found: Array<PluginUse<"backend">> = []
  for (const { kind, name, module } of plugins) {
    if (kind !== "backend") continue
    const plugin = yield* importPlugin(kind, name, module)
    if (plugin.devices === undefined) continue
    const { backend } = yield* loadPlugin({ kind, name, module, options: {} })
    const look = (runs?: Model) => Effect.result(backend.devices!(runs))
    let answer = yield* look()
    const isHere = Result.isSuccess(answer) && answer.success.length > 0
    if (isHere && model !== undefined) answer = yield* look(yield* model)
    if (Result.isFailure(answer)) announce(`${name} is not used: ${answer.failure.message}`)
    else if (answer.success.length > 0) {
      found.push({ kind, name, module, options: answer.success[0] as PluginUse["options"] })
    }
  }
  return found
})
