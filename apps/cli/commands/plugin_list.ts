// powerinfer plugin list: which plugins can be named here?
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { engineVersion, outdatedSide, type PluginListing } from "powerinfer"
import { note, print, printJson } from "../output.ts"
import { findablePlugins } from "../plugins.ts"

/** Prints a line a plugin: those that come with powerinfer, then those of the project's direct dependencies. Runs none of them. */
export const pluginList = Effect.fnUntraced(function* (input: { readonly json: boolean }) {
  const { ours, theirs, problems } = yield* findablePlugins
  const plugins = [...ours.map((one) => lineOf(one, "powerinfer")), ...theirs.map((one) => lineOf(one, "project"))]
  if (input.json) return yield* printJson({ engine: engineVersion, plugins, problems })
  const columns = plugins.map(({ kind, name, version, package: from, fits }) => [
    kind,
    name,
    version,
    `${from}${fits ? "" : `  (not for engine ${engineVersion})`}`
  ])
  const widths = [0, 1, 2].map((column) => Math.max(...columns.map((cells) => cells[column]!.length)))
  yield* print(
    columns.map((cells) => `${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`).join("")
  )
  for (const { package: from, reason } of problems) yield* note(`${from} cannot be read: ${reason}`)
})

const lineOf = (listing: PluginListing, origin: "powerinfer" | "project") => ({
  kind: listing.kind,
  name: listing.name,
  version: listing.version,
  package: listing.package,
  module: relative(process.cwd(), fileURLToPath(listing.module)),
  origin,
  /** By what its package asks for; what the plugin itself says is checked when it is loaded. */
  fits: listing.engine === undefined || !/\d/.test(listing.engine) || outdatedSide(listing.engine) === undefined
})
