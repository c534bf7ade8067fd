// Goal: the SDK's defaults are our plugins where they are installed, and what is missing is said by name.
// Method: withDefaults() on models with and without zeros in their activations; a copy of mod.ts beside which there are no plugins.
import { describe, expect, test } from "bun:test"
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect } from "effect"
import { withDefaults } from "../mod.ts"
import { has, models } from "./support/plans.ts"

const silu = "test/golden/families/llama-gqa-silu.gguf"
const complete = has("backend", "cpu") && has("placement", "single_device") && has("predictor", "every_neuron")

describe.skipIf(!complete || !has("predictor", "exact_gate"))("withDefaults()", () => {
  for (const [model, predictor] of [
    [models.f16, "exact_gate"],
    [silu, "every_neuron"]
  ] as const) {
    test(`runs ${model} on the cpu with ${predictor}`, async () => {
      const options = await Effect.runPromise(withDefaults({ model }))
      expect(options.backends.map(({ name }) => name)).toEqual(["cpu"])
      expect([options.predictor.name, options.placement.name]).toEqual([predictor, "single_device"])
      expect(options.predictor.module).toStartWith("file://")
    })
  }
  test("keeps what it is given", async () => {
    const predictor = { kind: "predictor", name: "mine", module: "file:///mine.ts", options: { k: 1 } } as const
    const options = await Effect.runPromise(withDefaults({ model: models.f16, predictor, rowCountMax: 7 }))
    expect(options.predictor).toBe(predictor)
    expect([options.rowCountMax, options.sparseRowCountMax]).toEqual([7, 8])
  })
})

test("withDefaults() names the default plugin that is not installed", async () => {
  const folder = resolve("build/sdk_alone")
  mkdirSync(folder, { recursive: true })
  try {
    copyFileSync("mod.ts", join(folder, "mod.ts"))
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "powerinfer" }))
    const alone = (await import(pathToFileURL(join(folder, "mod.ts")).href)) as {
      readonly withDefaults: typeof withDefaults
    }
    const error = await Effect.runPromise(Effect.flip(alone.withDefaults({ model: models.f16 })))
    expect(error).toMatchObject({ _tag: "PluginUnavailable", kind: "backend", name: "cpu" })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
