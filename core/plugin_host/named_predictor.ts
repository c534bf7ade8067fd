// How does a predictor open another one by its name?
import * as Effect from "effect/Effect"
import { type OpenPredictor, type PredictorContext, PredictorFailure } from "../predictor.ts"
import type { PluginUse } from "../plugin.ts"
import { type PluginListing, pickPlugin } from "./discover.ts"
import { guardSelector } from "./guard.ts"
import { loadPlugin } from "./load_plugin.ts"
import { parsePluginText } from "./plugin_text.ts"

/** Deeper than anybody nests predictors on purpose. */
const depthMax = 8

/**
 * Opens predictors among those that are known, by the text that names them.
 *
 * - `contextOf`  what they are opened with
 */
export const openNamedPredictor = (
  known: ReadonlyArray<PluginListing>,
  contextOf: () => Omit<PredictorContext, "openPredictor">,
  depth = 0
): OpenPredictor =>
  Effect.fnUntraced(function* (text) {
    const named = parsePluginText(text)
    if (typeof named === "string") return yield* new PredictorFailure({ predictor: text, reason: named })
    const { name, options } = named
    const failure = ({ message }: { readonly message: string }) =>
      new PredictorFailure({ predictor: name, reason: message })
    if (depth === depthMax) {
      return yield* failure({ message: `it is named by a predictor that is named by another, ${depthMax} times over` })
    }
    const loaded = yield* pickPlugin(known, "predictor", name).pipe(
      Effect.map((found): PluginUse<"predictor"> => ({ ...found, options })),
      Effect.flatMap(loadPlugin),
      Effect.mapError(failure)
    )
    const openPredictor = openNamedPredictor(known, contextOf, depth + 1)
    const opened = yield* loaded.open({ ...contextOf(), openPredictor })
    return yield* Effect.try({ try: () => guardSelector(name, opened), catch: (cause) => failure(cause as Error) })
  })
