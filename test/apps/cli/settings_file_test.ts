// Goal: a settings file says what flags say, flags override it, and whatever is wrong in it is named by file and place.
// Method: files of all kinds, read in this process; the real command where it looks for one by itself.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { engineSettings } from "../../../apps/cli/engine_settings.ts"
import type { EngineFlags } from "../../../apps/cli/flags.ts"
import type { GivenOptions } from "../../../apps/cli/option_flags.ts"
import { readSettingsFile } from "../../../apps/cli/settings_file.ts"
import { type CliResult, runAll, runCli } from "./run_cli.ts"
import { noFlags } from "./no_flags.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-settings-"))
const path = join(folder, "settings.toml")
const refuses = resolve("test/support/plugins/refuses.ts")

const whole = `
ctx = 64
kv_type = "f32"
batch = 8
check_plugins = true

[predictor]
use = "oracle_top_k"
[predictor.options]
share = 0.5

[placement]
use = "single_device"

[[backend]]
use = "reference"

[[backend]]
use = "cpu"
options = { threads = 1, isa = "scalar" }
`

const read = (text: string) => {
  writeFileSync(path, text)
  return readSettingsFile(path)
}

const settings = async (text: string, flags: Partial<EngineFlags> = {}) =>
  Effect.runPromise(Effect.flatMap(read(text), (file) => engineSettings("m", { ...noFlags, ...flags, file })))
const failure = (text: string) =>
  Effect.runPromise(Effect.flip(Effect.flatMap(read(text), (file) => engineSettings("m", { ...noFlags, file }))))

const loud = join(folder, "loud")
const runs = {
  found: () => runCli(["generate", join(folder, "tiny.gguf"), "Hello", "--max-tokens=1", "--json"], "", {}, folder),
  overridden: () =>
    runCli(
      ["generate", join(folder, "tiny.gguf"), "Hello", "--max-tokens=1", "--json", "--predictor.k=9", "--kv-type=f16"],
      "",
      {},
      folder
    ),
  named: () =>
    runCli(
      ["generate", join(folder, "tiny.gguf"), "Hello", "--max-tokens=1", "--json", "--config", "k.toml"],
      "",
      {},
      folder
    ),
  bench: () =>
    runCli(
      ["bench", join(folder, "tiny.gguf"), "--prompt-tokens=4", "--tokens=2", "--repetitions=1", "--json"],
      "",
      {},
      folder
    ),
  missing: () => runCli(["generate", "m", "p", "--config", "nowhere.toml"], "", {}, folder),
  directory: () => runCli(["generate", "m", "p", "--config", "."], "", {}, folder),
  rootHelp: () => runCli(["--help"], "", {}, loud),
  inspectHelp: () => runCli(["inspect", "--help"], "", {}, loud),
  generateHelp: () => runCli(["generate", "--help"], "", {}, loud)
} as const

let results: ReadonlyMap<keyof typeof runs, CliResult>
const resultOf = (run: keyof typeof runs) => results.get(run)!
const settingsOf = (run: keyof typeof runs) => JSON.parse(resultOf(run).stdout).settings

beforeAll(async () => {
  await Effect.runPromise(writeTinyModel(join(folder, "tiny.gguf"), { family: "llama", seed: 5 }))
  const own = `kv_type = "f32"\n[predictor]\nuse = "oracle_top_k"\noptions.k = 4\n[[backend]]\nuse = "reference"\n`
  writeFileSync(join(folder, "powerinfer.toml"), own)
  writeFileSync(join(folder, "k.toml"), own.replace("4", "6"))
  mkdirSync(loud)
  writeFileSync(join(loud, "loud.mjs"), `process.stderr.write("loaded\\n")\nexport default {}\n`)
  writeFileSync(join(loud, "powerinfer.toml"), `[predictor]\nuse = "./loud.mjs"\n`)
  results = await runAll(Object.entries(runs) as Array<[keyof typeof runs, () => Promise<CliResult>]>)
}, 600_000)
afterAll(() => rmSync(folder, { recursive: true }))

describe("engineSettings()", () => {
  test("takes everything from the file", async () => {
    expect(await settings(whole)).toMatchObject({
      rowCountMax: 8,
      checkPlugins: true,
      session: { contextLength: 64, cacheType: "f32" },
      predictor: { name: "oracle_top_k", options: { share: 0.5 }, optionsFrom: { share: path } },
      placement: { name: "single_device", options: {} },
      backends: [
        { name: "reference", options: {} },
        { name: "cpu", options: { threads: 1, isa: "scalar" }, optionsFrom: { threads: path, isa: path } }
      ]
    })
  })

  test("lets flags override the file, key by key", async () => {
    const pluginOptions: GivenOptions = { "predictor.share": { from: "--predictor.share", read: () => 0.25 } }
    const flags = { ctx: 7, kvType: "f16", batch: 9, checkPlugins: false, threads: 2, pluginOptions } as const
    expect(await settings(whole, flags)).toMatchObject({
      rowCountMax: 9,
      checkPlugins: false,
      session: { contextLength: 7, cacheType: "f16" },
      predictor: { options: { share: 0.25 }, optionsFrom: { share: "--predictor.share" } },
      backends: [{}, { options: { threads: 2, isa: "scalar" }, optionsFrom: { threads: "--threads", isa: path } }]
    })
  })

  test("replaces a plugin of the file, options and all, by one that a flag names", async () => {
    const { predictor, backends } = await settings(whole, { predictor: "oracle_top_k", backend: ["cpu"] })
    expect([predictor!.options, backends!.map(({ options }) => options)]).toEqual([{}, [{}]])
  })

  test("means a path from where the file lies", async () => {
    mkdirSync(join(folder, "plugins"), { recursive: true })
    writeFileSync(join(folder, "plugins/mine.ts"), `export { default } from ${JSON.stringify(refuses)}\n`)
    const { backends } = await settings(`[[backend]]\nuse = "./plugins/mine.ts"\noptions = { device = "a", bits = 8 }`)
    expect(backends).toMatchObject([{ name: "refuses", options: { device: "a", bits: 8 } }])
  })
})

describe("a settings file", () => {
  for (const [what, text, says] of [
    ["broken TOML", "ctx = 1\nb = = 2", ":2:5: invalid value; write TOML"],
    ["an unknown key", "contxt = 1", ": contxt: there is no such key; write ctx, kv_type, batch, check_plugins, "],
    ["a word for a number", `ctx = "a"`, `: ctx: Expected number, got "a"`],
    ["a number out of range", "batch = 5000", ": batch: Expected a value between 1 and 4096, got 5000"],
    ["a type there is not", `kv_type = "q2"`, `: kv_type: Expected "f16" | "f32" | "q8_0", got "q2"`],
    [
      "a key beside the options",
      `[predictor]\nuse = "a"\nk = 1`,
      ": predictor.k: there is no such key; write use or options"
    ],
    ["a plugin without a name", "[placement]\noptions = {}", `: placement.use: it is missing; write use = "NAME"`],
    [
      "a plugin that is a word",
      `predictor = "a"`,
      `: predictor: it is a section; write [predictor] and below it use = "NAME"`
    ],
    [
      "one backend where there may be several",
      `[backend]\nuse = "cpu"`,
      ": backend: there may be several; write [[backend]]"
    ],
    ["backends that are words", `backend = ["cpu"]`, ": backend[0]: it is a section; write [[backend]]"],
    [
      "an option that the plugin does not have",
      `[predictor]\nuse = "oracle_top_k"\noptions.shar = 1`,
      ": predictor.options.shar: oracle_top_k has no option shar; write k or share"
    ],
    [
      "an option out of range",
      `[[backend]]\nuse = "reference"\n[[backend]]\nuse = "cpu"\noptions.threads = -1`,
      ": backend[1].options.threads: Expected a value between 0 and 1024, got -1"
    ],
    [
      "options that exclude each other",
      `[predictor]\nuse = "oracle_top_k"\noptions = { k = 1, share = 1 }`,
      "predictor.options.share: give k or share, not both"
    ],
    [
      "an option given twice",
      `[predictor]\nuse = "oracle_top_k:k=1"\noptions.k = 1`,
      ': predictor.options.k and the k of use = "oracle_top_k:k=1" say the same'
    ]
  ] as const) {
    test(`with ${what} is refused`, async () => {
      const error = await failure(text)
      expect(error._tag).toBe("InvalidUsage")
      expect(error.message).toContain(path)
      expect(error.message).toContain(says)
    })
  }

  test("that names no plugin fails as the flag does", async () => {
    expect((await failure(`[predictor]\nuse = "nonsense"`)).message).toStartWith("Cannot load the predictor nonsense: ")
  })
})

describe("powerinfer generate", () => {
  test("finds powerinfer.toml where it runs, and reports what came from it", () => {
    const { predictor, backends, kv_type } = settingsOf("found")
    expect(predictor).toMatchObject({ options: { k: 4 }, options_from: { k: "powerinfer.toml" } })
    expect([backends[0].name, kv_type]).toEqual(["reference", "f32"])
  })

  test("has flags for the options of plugins that the file names", () => {
    const { predictor, kv_type } = settingsOf("overridden")
    expect(predictor).toMatchObject({ options: { k: 9 }, options_from: { k: "--predictor.k" } })
    expect(kv_type).toBe("f16")
  })

  test("reads the file that --config names instead", () => {
    expect(settingsOf("named").predictor).toMatchObject({ options: { k: 6 }, options_from: { k: "k.toml" } })
  })

  test("ends with 3 where --config names nothing, or a directory", () => {
    expect(resultOf("missing").stderr).toBe(
      "powerinfer: Cannot open nowhere.toml: there is no such file; check the path\n"
    )
    expect(resultOf("missing").code).toBe(3)
    expect(resultOf("directory").stderr).toMatch(/^powerinfer: Cannot read \.: EISDIR/)
    expect(resultOf("directory").code).toBe(3)
  })
})

test("powerinfer bench measures the predictor of the file", () => {
  const { predictors } = settingsOf("bench")
  expect(predictors).toMatchObject([{ name: "oracle_top_k", options: { k: 4 } }])
})

test("powerinfer --help loads neither file nor plugins", () => {
  for (const run of ["rootHelp", "inspectHelp"] as const) expect([run, resultOf(run).stderr]).toEqual([run, ""])
  expect(resultOf("generateHelp").stderr).toStartWith("loaded\n")
  expect(resultOf("generateHelp").stdout).toContain("USAGE")
})
