// Goal: whatever a module turns out to be, loading it as a plugin works or says what is wrong and, of two versions, which side to update.
// Method: modules written into a temporary directory, each wrong in one way; ranges of versions around this engine's.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { engineVersion, loadPlugin, outdatedSide } from "@powerinfer/core"
import { Effect } from "effect"

const directory = mkdtempSync(join(tmpdir(), "powerinfer-load-"))
afterAll(() => rmSync(directory, { recursive: true }))
const core = JSON.stringify(Bun.resolveSync("@powerinfer/core", import.meta.dir))
const effect = JSON.stringify(Bun.resolveSync("effect", import.meta.dir))
let written = 0

/** A module with this text after its imports. */
const moduleOf = (text: string): string => {
  const path = join(directory, `plugin_${written++}.ts`)
  writeFileSync(path, `import { definePlugin } from ${core}\nimport { Effect, Schema } from ${effect}\n${text}\n`)
  return pathToFileURL(path).href
}

/** The text of a predictor, some fields replaced or, where undefined, left out. */
const predictor = (fields: Readonly<Record<string, string | undefined>> = {}): string => {
  const all = {
    kind: '"predictor"',
    name: '"mine"',
    version: '"1.2.3"',
    engine: JSON.stringify(`^${engineVersion}`),
    module: "import.meta.url",
    options: "Schema.Struct({ share: Schema.optionalKey(Schema.Finite) })",
    open: "() => Effect.never",
    ...fields
  }
  const kept = Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${value}`]))
  return `export default definePlugin({ ${kept.join(", ")} })`
}

const load = (text: string, options: Readonly<Record<string, unknown>> = {}) =>
  Effect.runPromise(Effect.result(loadPlugin({ kind: "predictor", name: "asked", module: moduleOf(text), options })))
const refusal = async (text: string, options: Readonly<Record<string, unknown>> = {}) => {
  const result = await load(text, options)
  if (result._tag === "Success") throw new Error("it was loaded")
  return result.failure
}

test("loadPlugin() gives a plugin with its options checked", async () => {
  const result = await load(predictor(), { share: 0.5 })
  expect(result).toMatchObject({ _tag: "Success", success: { plugin: { name: "mine", version: "1.2.3" } } })
})

describe("loadPlugin() refuses", () => {
  for (const [what, text, words] of [
    ["a module without a default export", "export const plugin = 1", "has no plugin as its default export"],
    ["a default export that is no plugin", "export default () => 1", "has no plugin as its default export"],
    [
      "a kind that there is not",
      predictor({ kind: '"sampler"' }),
      "its kind is not one of placement, predictor, backend"
    ],
    ["a plugin of another kind", predictor({ kind: '"placement"' }), "it is a placement; name a predictor"],
    ["a plugin without a name", predictor({ name: '""' }), "its name is not a text"],
    ["a plugin without a version", predictor({ version: undefined }), "its version is not a text"],
    ["a plugin without an engine", predictor({ engine: undefined }), "its engine is not a text"],
    ["a plugin that does not know its module", predictor({ module: undefined }), "its module is not a text"],
    ["options that are no Schema", predictor({ options: "{}" }), "its options is not a Schema"],
    ["an open that is no function", predictor({ open: "1" }), "its open is not a function"],
    ["a train that is no function", predictor({ train: "1" }), "its train is not a function"],
    ["an engine that is no range", predictor({ engine: '"newest"' }), "is no range of versions; write"],
    ["a module that throws", "throw new Error('not today')", "its module does not load (not today)"],
    ["a module that does not parse", "export default {", "its module does not load"]
  ] as const) {
    test(what, async () => {
      const error = await refusal(text)
      expect(error).toMatchObject({ _tag: "PluginUnavailable", kind: "predictor" })
      expect(error.message).toContain(words)
    })
  }
  test("a module that is not there", async () => {
    const gone = loadPlugin({ kind: "predictor", name: "gone", module: "file:///nowhere/gone.ts", options: {} })
    const error = await Effect.runPromise(Effect.flip(gone))
    expect(error.message).toStartWith("Cannot load the predictor gone: its module does not load")
  })
  test("options that its Schema refuses, by their key", async () => {
    for (const options of [{ share: "half" }, { shares: 0.5 }]) {
      const error = await refusal(predictor(), options)
      expect(error.message).toContain("its options are wrong")
      expect(error.message).toContain(Object.keys(options)[0]!)
    }
  })
  test("any option of a plugin that has none", async () => {
    const error = await refusal(predictor({ options: "Schema.Struct({})" }), { share: 1 })
    expect(error.message).toContain("it has no options, share was given")
  })
  for (const [range, update] of [
    ["^0.0.9", "plugin"],
    ["<0.1.0", "plugin"],
    ["^99.0.0", "engine"],
    [">=0.2.0 <0.3.0", "engine"]
  ] as const) {
    test(`a plugin for engine ${range}, and says that the ${update} is to be updated`, async () => {
      const error = await refusal(predictor({ engine: JSON.stringify(range) }))
      expect(error).toMatchObject({ _tag: "PluginIncompatible", name: "mine", update })
      expect(error.message).toContain(`version 1.2.3 is written for engine ${range}, this is ${engineVersion}`)
      expect(error.message).toEndWith(
        update === "engine" ? "update the engine (powerinfer)" : "update the plugin (mine)"
      )
    })
  }
})

for (const [range, version, side] of [
  ["^0.1.0", "0.1.5", undefined],
  ["^0.1.0", "0.1.0-next.1", undefined],
  ["^0.1.0", "0.2.0", "plugin"],
  ["^0.2.0", "0.1.9", "engine"],
  ["1 || 3", "2.0.0", "engine"],
  ["*", "7.0.0", undefined],
  ["latest", "1.0.0", "nonsense"]
] as const) {
  test(`outdatedSide("${range}") of engine ${version} is ${side}`, () =>
    expect(outdatedSide(range, version)).toBe(side))
}
