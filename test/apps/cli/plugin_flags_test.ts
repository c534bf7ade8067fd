// Goal: what a plugin declares can be given by flags, each value reaches the plugin it is meant for, and a mistake is named by the flag.
// Method: the steps from arguments to a report in this process; the real command for what it prints and where it ends.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { scanArguments } from "../../../apps/cli/argument_scan.ts"
import { engineSettings } from "../../../apps/cli/engine_settings.ts"
import type { EngineFlags } from "../../../apps/cli/flags.ts"
import { knownOptions, nothingKnown } from "../../../apps/cli/known_options.ts"
import type { GivenOptions } from "../../../apps/cli/option_flags.ts"
import { plainValue } from "../../../apps/cli/option_text.ts"
import { pluginReport } from "../../../apps/cli/plugin_report.ts"
import { type CliResult, runAll, runCli } from "./run_cli.ts"
import { noFlags } from "./no_flags.ts"

const refuses = "./test/support/plugins/refuses.ts"
const folder = mkdtempSync(join(tmpdir(), "powerinfer-flags-"))
const tiny = join(folder, "tiny.gguf")

const generate = (...rest: ReadonlyArray<string>) => ["generate", tiny, "Hello", "--max-tokens", "1", ...rest]
const reference = ["--backend", "reference", "--json"]

/** Each ends with 2, says why, and names the flag. */
const mistakes: ReadonlyArray<readonly [what: string, args: ReadonlyArray<string>, says: RegExp]> = [
  [
    "a word for a number",
    ["--predictor", "oracle_top_k", "--predictor.share", "much"],
    /--predictor\.share: "much"\. Expected .* finite number/
  ],
  [
    "a fraction for an integer",
    ["--predictor=oracle_top_k", "--predictor.k=0.5"],
    /--predictor\.k: "0\.5"\. .*integer/
  ],
  [
    "a number out of range",
    ["--predictor", "oracle_top_k", "--predictor.share", "7"],
    /--predictor\.share: Expected a value less than or equal to 1, got 7\n/
  ],
  ["a choice there is not", ["--backend.isa", "mmx"], /--backend\.isa: "mmx"\. Expected: "auto" \| "scalar"/],
  [
    "two options that exclude each other",
    ["--predictor", "oracle_top_k", "--predictor.k", "3", "--predictor.share", "0.5"],
    /--predictor\.k, --predictor\.share: give k or share, not both\n/
  ],
  [
    "an option in the name and as a flag",
    ["--predictor", "oracle_top_k:share=0.1", "--predictor.share", "0.5"],
    /--predictor oracle_top_k:… share and --predictor\.share say the same; keep one\n/
  ],
  [
    "a shorthand beside its flag",
    ["--threads", "1", "--backend.threads", "2"],
    /--threads and --backend\.threads say the same/
  ],
  [
    "an option that the plugin does not have",
    ["--predictor", "oracle_top_k", "--predictor.shar", "0.5"],
    /--predictor\.shar: oracle_top_k has no option shar; write --predictor\.k or --predictor\.share\n/
  ],
  [
    "an option of none of several backends",
    ["--backend", "cpu", "--backend", "reference", "--backend.lanes=2"],
    /--backend\.lanes: cpu and reference have no option lanes; write --backend\.threads, /
  ],
  [
    "an option of a plugin that has none",
    ["--placement", "single_device", "--placement.home", "1"],
    /--placement\.home: single_device has no option home; there are none\n/
  ],
  [
    "an option of no plugin",
    ["--predictor.share", "0.5"],
    /--predictor\.share: it is an option of a predictor, and none is named; add --predictor NAME\n/
  ],
  [
    "a missing option",
    ["--backend", refuses],
    /the backend refuses needs its option device \(Which of several\); add --backend\.device\n/
  ],
  [
    "JSON of the wrong shape",
    ["--backend", refuses, "--backend.device", "a", "--backend.levels", "[1,0.5]"],
    /--backend\.levels: Expected an integer, got \[1,0\.5\]\n/
  ]
]

const runs = {
  help: () => runCli(["generate", "--predictor", "oracle_top_k", "--backend", "cpu", "--help"]),
  plainHelp: () => runCli(["generate", "--help"]),
  chatHelp: () => runCli(["chat", "--predictor=oracle_top_k", "-h"]),
  logitsHelp: () => runCli(["logits", "--predictor=oracle_top_k", "--help"]),
  benchHelp: () => runCli(["bench", "--predictor=every_neuron", "--predictor=oracle_top_k", "--help"]),
  helpOfNothing: () => runCli(["generate", "--predictor", "nonsense", "--help"]),
  generate: () => runCli(generate(...reference, "--predictor", "oracle_top_k", "--predictor.share=0.5")),
  checked: () => runCli(generate(...reference, "--check-plugins", "--predictor", "oracle_top_k:k=3")),
  bench: () =>
    runCli([
      "bench",
      tiny,
      "--predictor=every_neuron",
      "--predictor=oracle_top_k",
      "--predictor.k=5",
      "--backend.threads=1",
      "--prompt-tokens=4",
      "--tokens=2",
      "--repetitions=1",
      "--json"
    ]),
  logits: () =>
    runCli(["logits", tiny, "--tokens", "1,2", "--out", join(folder, "l.f32"), "--json", "--threads=1", "--no-repack"])
} as const

let results: ReadonlyMap<string, CliResult>
const resultOf = (run: keyof typeof runs) => results.get(run)!
const settingsOf = (run: keyof typeof runs) => JSON.parse(resultOf(run).stdout).settings

beforeAll(async () => {
  await Effect.runPromise(writeTinyModel(tiny, { family: "llama", seed: 5 }))
  results = await runAll([
    ...Object.entries(runs),
    ...mistakes.map(([what, args]) => [what, () => runCli(generate(...args))] as const)
  ])
}, 600_000)
afterAll(() => rmSync(folder, { recursive: true }))

describe("scanArguments()", () => {
  test("finds the predictor that is to be trained, which is no flag", () => {
    for (const args of [
      ["train", "mlp", "m.gguf", "--predictor.k", "3"],
      ["train", "--seed", "3", "--json", "mlp", "m.gguf", "t.txt"],
      ["train", "--no-bos", "--out=x", "--threads", "2", "mlp", "m.gguf"]
    ]) {
      expect(scanArguments(args)!.plugins.predictor).toEqual(["mlp"])
    }
  })

  test("finds what is named before the command line is parsed, in both forms", () => {
    const args = ["--log-level", "debug", "bench", "m", "--predictor", "a:x=1", "--predictor=b", "--config=c.toml"]
    expect(scanArguments([...args, "--predictor.k", "3", "--no-backend.repack", "--placement.x=1"])).toEqual({
      plugins: { predictor: ["a:x=1", "b"], placement: [], backend: [] },
      optionFlags: [
        { kind: "predictor", key: "k", flag: "--predictor.k" },
        { kind: "backend", key: "repack", flag: "--no-backend.repack" },
        { kind: "placement", key: "x", flag: "--placement.x" }
      ],
      config: "c.toml",
      help: false
    })
  })

  test("takes no flag for a value, and nothing behind -- for a flag", () => {
    const scanned = scanArguments(["generate", "--backend", "--help", "--", "--predictor", "a", "--config", "b"])
    expect(scanned).toEqual({
      plugins: { predictor: [], placement: [], backend: [] },
      optionFlags: [],
      config: undefined,
      help: true
    })
  })

  test("leaves commands without an engine alone", () => {
    for (const args of [[], ["--help"], ["inspect", "generate", "--config", "x"], ["plugin", "inspect", "--backend=a"]])
      expect(scanArguments(args)).toBeUndefined()
  })
})

const known = (...args: ReadonlyArray<string>) => Effect.runPromise(knownOptions(["generate", ...args]))

describe("knownOptions()", () => {
  test("knows nothing where nothing is named", async () => {
    expect(await known("m", "prompt")).toBe(nothingKnown)
  })

  test("knows the default backend only by a flag of its own", async () => {
    expect((await known("--predictor", "oracle_top_k")).fields.backend).toEqual([])
    const { fields } = await known("--backend.threads", "1")
    expect(fields.backend.map(({ key }) => key)).toEqual(["threads", "isa", "weights", "repack", "memoryLimitBytes"])
  })

  test("merges plugins that have a key alike, and leaves the text to each where they differ", async () => {
    const { fields } = await known("--backend=cpu", "--backend=reference", `--backend=${refuses}`)
    const find = (key: string) => fields.backend.find((field) => field.key === key)
    expect(find("threads")).toMatchObject({ kind: "json", owners: ["cpu", "refuses"], required: false })
    expect(find("isa")).toMatchObject({ kind: "choice", owners: ["cpu"], default: "auto" })
    expect(find("device")).toMatchObject({ kind: "text", owners: ["refuses"], required: true })
  })
})

/** As flags of kind json give it. */
const raw = (key: string, text: string): GivenOptions => ({
  [key]: { from: `--${key}`, read: ({ kind }) => (kind === "text" ? text : JSON.parse(text)) }
})
const settings = (flags: Partial<EngineFlags>) => Effect.runPromise(engineSettings("m", { ...noFlags, ...flags }))
const failure = (flags: Partial<EngineFlags>) =>
  Effect.runPromise(Effect.flip(engineSettings("m", { ...noFlags, ...flags })))

describe("engineSettings()", () => {
  test("gives an option to those backends that have it, as each wants it", async () => {
    const { backends } = await settings({
      backend: ["cpu", "reference", `${refuses}:device=a`],
      pluginOptions: raw("backend.threads", "3")
    })
    expect(backends!.map(({ name, options }) => [name, options])).toEqual([
      ["cpu", { threads: 3 }],
      ["reference", {}],
      ["refuses", { device: "a", threads: "3" }]
    ])
    expect(backends![2]!.optionsFrom).toEqual({ device: `--backend ${refuses}:…`, threads: "--backend.threads" })
  })

  test("gives shorthands to every backend that has the option, and lets its own list win", async () => {
    const { backends } = await settings({ backend: ["cpu:threads=2", "cpu"], threads: 1, repack: false })
    expect(backends!.map(({ options }) => options)).toEqual([
      { threads: 2, repack: false },
      { threads: 1, repack: false }
    ])
    expect(backends![1]!.optionsFrom).toEqual({ threads: "--threads", repack: "--no-repack" })
  })

  test("refuses a shorthand that no backend knows", async () => {
    expect(await failure({ backend: ["reference"], repack: false })).toMatchObject({
      _tag: "InvalidUsage",
      message: expect.stringContaining("--no-repack is for backends that have the option repack")
    })
  })

  test("leaves wrong options in a name to the engine, which names the plugin", async () => {
    const { predictor } = await settings({ predictor: "oracle_top_k:share=7" })
    expect(predictor!.options).toEqual({ share: 7 })
  })
})

describe("pluginReport()", () => {
  test("shows every option as the plugin gets it, and who gave it", async () => {
    const { backends } = await settings({
      backend: [`${refuses}:device=a`],
      pluginOptions: raw("backend.levels", "[7]")
    })
    const report = await Effect.runPromise(pluginReport(backends![0]!))
    expect(report).toEqual({
      kind: "backend",
      name: "refuses",
      version: "1.2.3",
      module: join(process.cwd(), refuses),
      options: { device: "a", levels: [7], since: "2000-01-01T00:00:00.000Z", fast: false },
      options_from: {
        device: `--backend ${refuses}:…`,
        levels: "--backend.levels",
        since: "default",
        fast: "default"
      }
    })
  })

  test("shows values that JSON cannot hold", () => {
    expect([Number.NaN, 7n, undefined, new Date(0), { a: [1] }].map(plainValue)).toEqual([
      "NaN",
      "7",
      "undefined",
      "1970-01-01T00:00:00.000Z",
      { a: [1] }
    ])
  })
})

describe("powerinfer generate --help", () => {
  test("lists the options of the plugins that are named, with type, choices, default and description", () => {
    const { stdout, code } = resultOf("help")
    expect(stdout).toMatch(/--predictor\.share number +The same as a share of a block's neurons/)
    expect(stdout).toMatch(/--predictor\.k integer +Neurons per row/)
    expect(stdout).toMatch(/--backend\.isa choice +Instruction set .*; default auto \(choices: auto, scalar, /)
    expect(stdout).toMatch(/--backend\.repack +May a missing .*; default true; --no-backend\.repack says no/)
    expect(stdout).not.toContain("--predictor NAME --help lists its options")
    expect(code).toBe(0)
  })

  test("says how to see them where none is named", () => {
    const { stdout } = resultOf("plainHelp")
    expect(stdout).toMatch(/--predictor NAME --help lists its options, each a flag: --predictor\.KEY VALUE/)
    expect(stdout).not.toContain("--predictor.share")
  })

  test("is the same for all commands that have an engine", () => {
    for (const run of ["chatHelp", "logitsHelp", "benchHelp"] as const)
      expect([run, resultOf(run).stdout]).toEqual([run, expect.stringMatching(/--predictor\.share number/)])
  })

  test("is shown beside what is wrong with a name", () => {
    const { stdout, stderr, code } = resultOf("helpOfNothing")
    expect(stderr).toStartWith("powerinfer: Cannot load the predictor nonsense: ")
    expect(stdout).toContain("USAGE")
    expect(code).toBe(0)
  })
})

describe("a report of a run", () => {
  test("names every plugin, its version, its module and where its options came from", () => {
    const { predictor, placement, backends, check_plugins } = settingsOf("generate")
    expect(predictor).toEqual({
      kind: "predictor",
      name: "oracle_top_k",
      version: "0.1.0",
      module: "@powerinfer/predictor-oracle-top-k",
      options: { share: 0.5 },
      options_from: { share: "--predictor.share" }
    })
    expect(placement).toMatchObject({ name: "single_device", module: "@powerinfer/placement-single-device" })
    expect(backends).toMatchObject([{ name: "reference", options: {}, options_from: {} }])
    expect(check_plugins).toBeFalse()
  })

  test("tells a name with options from flags and shorthands", () => {
    expect(settingsOf("checked").predictor.options_from).toEqual({ k: "--predictor oracle_top_k:…" })
    expect(settingsOf("checked").check_plugins).toBeTrue()
    expect(settingsOf("logits").backends[0]).toMatchObject({
      options: { threads: 1, isa: "auto", weights: "resident", repack: false },
      options_from: { threads: "--threads", isa: "default", weights: "default", repack: "--no-repack" }
    })
  })

  test("of several predictors gives an option to those that have it", () => {
    const { predictors, backends } = settingsOf("bench")
    expect(predictors).toMatchObject([
      { name: "every_neuron", options: {} },
      { name: "oracle_top_k", options: { k: 5 }, options_from: { k: "--predictor.k" } }
    ])
    expect(backends[0].options_from.threads).toBe("--backend.threads")
  })
})

describe("powerinfer generate", () => {
  for (const [what, , says] of mistakes) {
    test(`ends with 2 on ${what}`, () => {
      const { code, stderr, stdout } = results.get(what)!
      expect(stderr.replace(/^Loading \S+\n/, "")).toMatch(says)
      expect(stderr.trimEnd().split("\n").length).toBeLessThanOrEqual(2)
      expect([code, stdout]).toEqual([2, ""])
    })
  }
})
