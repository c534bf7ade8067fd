// Does a plugin refuse an option that it does not have?
import * as Effect from "effect/Effect"
import type { Plugin, PluginKind } from "../plugin.ts"
import { bindPlugin } from "../plugin_host/load_plugin.ts"
import { check } from "./assertions.ts"

const unknownOption = "an_option_that_no_plugin_has"

/** A mistyped option is a mistake, not a default. */
export const checkUnknownOption = Effect.fnUntraced(function* <Kind extends PluginKind>(
  plugin: Plugin<Kind>,
  options: Readonly<Record<string, unknown>>
) {
  const bound = yield* Effect.result(bindPlugin(plugin, { ...options, [unknownOption]: 1 }))
  check(
    bound._tag === "Failure",
    `it takes ${unknownOption} = 1 and says nothing; declare its options as a Schema.Struct`
  )
})
