// Which plugin does a name mean, when nobody has said of which kind it is?
import { Effect } from "effect"
import { type PluginKind, pluginKinds, type PluginUnavailable, type PluginUse } from "powerinfer"
import { findPlugin } from "./find_plugin.ts"
import type { InvalidUsage } from "./invalid_usage.ts"
import { firstParty } from "./plugins.ts"

/** As `findPlugin`, of the kind that the plugin itself says it has. */
export const findAnyPlugin = (
  text: string,
  kind: PluginKind | undefined
): Effect.Effect<PluginUse, InvalidUsage | PluginUnavailable> => {
  if (kind !== undefined) return findPlugin(kind, text)
  const name = text.split(":", 1)[0]!
  const ours = pluginKinds.find((one) => Object.hasOwn(firstParty[one], name))
  if (ours !== undefined) return findPlugin(ours, text)
  // A module that loads has one kind. One that does not fails whatever it is taken for: most are predictors.
  return findPlugin("predictor", text).pipe(
    Effect.catchTag("PluginUnavailable", (asPredictor) =>
      findPlugin("placement", text).pipe(
        Effect.catchTag("PluginUnavailable", () => findPlugin("backend", text)),
        Effect.catchTag("PluginUnavailable", () => Effect.fail(asPredictor))
      )
    )
  )
}
