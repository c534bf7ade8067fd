// Which plugin does a name mean, when nobody has said of which kind it is?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type PluginIncompatible, type PluginKind, PluginUnavailable, type PluginUse } from "powerinfer"
import { flagKinds } from "./argument_scan.ts"
import { findPlugin } from "./find_plugin.ts"
import { InvalidUsage } from "./invalid_usage.ts"

type NotFound = InvalidUsage | PluginUnavailable | PluginIncompatible

/** As `findPlugin`, of the one kind that has a plugin of that name. Fails with `InvalidUsage` if several have. */
export const findAnyPlugin = Effect.fnUntraced(function* (
  text: string,
  kind: PluginKind | undefined,
  importing: { readonly anyEngine?: boolean } = {}
): Effect.fn.Return<PluginUse, NotFound> {
  if (kind !== undefined) return yield* findPlugin(kind, text, importing)
  const tried = yield* Effect.forEach(flagKinds, (one) => Effect.result(findPlugin<PluginKind>(one, text, importing)))
  const [found, ...others] = tried.filter(Result.isSuccess).map(({ success }) => success)
  if (found === undefined)
    return yield* nobodyCalled(
      text,
      tried.filter(Result.isFailure).map(({ failure }) => failure)
    )
  if (others.length > 0) {
    const kinds = [found, ...others].map((use) => use.kind)
    return yield* new InvalidUsage({
      reason: `${text} is the name of a ${kinds.join(" and of a ")}; add --kind ${kinds.join(" or --kind ")}`
    })
  }
  return found
})

/** One answer for all kinds: what is wrong with the name, without the advice of one of them. */
const nobodyCalled = (name: string, failures: ReadonlyArray<NotFound>): NotFound => {
  const [first] = failures
  const telling = failures.find(({ _tag }) => _tag !== "PluginUnavailable") ?? first
  if (telling?._tag !== "PluginUnavailable") return telling ?? new InvalidUsage({ reason: `${name} names no plugin` })
  const reason = telling.reason.split("; ")[0]
  return new PluginUnavailable({
    kind: "plugin",
    name,
    reason: `${reason}; use a name of powerinfer plugin list, the path of a module or an installed package`
  })
}
