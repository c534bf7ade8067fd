// Goal: plugin inspect shows what a plugin is and what can be chosen about it, whether or not it runs here.
// Method: the real command on plugins of ours and on two that are for tests; the package of a module on folders made for it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { engineVersion } from "@powerinfer/core"
import { packageOf } from "../../../apps/cli/module_package.ts"
import { textTable } from "../../../apps/cli/text_table.ts"
import { type CliResult, runAll, runCli } from "./run_cli.ts"

const inspect = (...args: ReadonlyArray<string>) => runCli(["plugin", "inspect", ...args])
const fromTomorrow = "test/support/plugins/from_tomorrow.ts"

const runs = {
  text: () => inspect("oracle_top_k"),
  json: () => inspect("cpu", "--json"),
  everyKind: () => inspect("./test/support/plugins/refuses.ts", "--json"),
  ofKind: () => inspect("single_device", "--kind", "placement", "--json"),
  unfit: () => inspect(fromTomorrow, "--json"),
  unfitText: () => inspect(fromTomorrow),
  otherKind: () => inspect("oracle_top_k", "--kind", "backend"),
  nobody: () => inspect("nonsense"),
  noPlugin: () => inspect("./core/neuron_set.ts")
} as const

let results: ReadonlyMap<keyof typeof runs, CliResult>
const resultOf = (run: keyof typeof runs) => results.get(run)!
const jsonOf = (run: keyof typeof runs) => JSON.parse(resultOf(run).stdout)

const folder = mkdtempSync(join(tmpdir(), "powerinfer-inspect-"))

beforeAll(async () => {
  results = await runAll(Object.entries(runs) as Array<[keyof typeof runs, () => Promise<CliResult>]>)
}, 600_000)
afterAll(() => rmSync(folder, { recursive: true }))

describe("powerinfer plugin inspect", () => {
  test("finds the kind and shows the plugin and its options", () => {
    const { stdout, code } = resultOf("text")
    expect(stdout).toMatch(/^oracle_top_k\n {2}kind +predictor\n {2}version +0\.1\.0\n/)
    expect(stdout).toContain(`^0.1.0 (this is ${engineVersion}: fits)`)
    expect(stdout).toMatch(/package +@powerinfer\/predictor-oracle-top-k\n/)
    expect(stdout).toMatch(/--predictor\.share +number +The same as a share of a block's neurons/)
    expect(code).toBe(0)
  })

  test("prints the same as JSON", () => {
    const about = jsonOf("json")
    expect(about).toMatchObject({
      kind: "backend",
      name: "cpu",
      version: "0.1.0",
      engine: "^0.1.0",
      fits_engine: true,
      module: expect.stringMatching(/plugins\/backends\/cpu\/mod\.ts$/),
      package: "@powerinfer/backend-cpu",
      trains: false
    })
    expect(about.options[1]).toEqual({
      key: "isa",
      flag: "--backend.isa",
      type: "choice",
      choices: ["auto", "scalar", "avx2", "avx512", "avx512_vnni"],
      required: false,
      default: "auto",
      description: expect.any(String)
    })
  })

  test("shows options of every kind, of a module that is nobody's door", () => {
    const about = jsonOf("everyKind")
    expect(about.package).toBeNull()
    expect(
      about.options.map(({ key, type, required, default: value }: Record<string, unknown>) => [
        key,
        type,
        required,
        value
      ])
    ).toEqual([
      ["device", "text", true, undefined],
      ["threads", "text", false, undefined],
      ["levels", "json", false, [1, 2]],
      ["since", "text", false, "2000-01-01T00:00:00.000Z"],
      ["fast", "boolean", false, false],
      ["bits", "choice", false, undefined]
    ])
  })

  test("takes the kind from --kind", () => {
    expect(jsonOf("ofKind")).toMatchObject({ kind: "placement", name: "single_device", options: [] })
    expect(resultOf("otherKind").stderr).toStartWith("powerinfer: Cannot load the backend oracle_top_k: ")
    expect(resultOf("otherKind").code).toBe(8)
  })

  test("shows a plugin that does not fit this engine, its kernels, and that it trains", () => {
    expect(jsonOf("unfit")).toMatchObject({
      engine: "^99.0.0",
      engine_version: engineVersion,
      fits_engine: false,
      trains: true,
      kernels: {
        candidates: [
          { path: join(process.cwd(), fromTomorrow), exists: true },
          { path: "/nowhere/kernels.so", exists: false }
        ],
        build: "make kernels"
      }
    })
    const { stdout } = resultOf("unfitText")
    expect(stdout).toContain("does not fit")
    expect(stdout).toContain("/nowhere/kernels.so (not there)\n")
    expect(stdout).toEndWith("no options\n")
  })

  test("ends with 8 on a name that is none, and on a module that is no plugin", () => {
    expect(resultOf("nobody").stderr).toMatch(
      /^powerinfer: Cannot load the plugin nonsense: .*; use a name of powerinfer plugin list/
    )
    expect(resultOf("noPlugin").stderr).toContain("has no plugin as its default export; use a name of")
    expect([resultOf("nobody").code, resultOf("noPlugin").code]).toEqual([8, 8])
  })
})

describe("packageOf()", () => {
  const write = (path: string, text: string) => {
    mkdirSync(join(folder, path, ".."), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const of = (path: string) => packageOf(pathToFileURL(join(folder, path)).href)

  test("names the package whose door the module is, at any depth of conditions", () => {
    write("a/package.json", JSON.stringify({ name: "@acme/a", exports: { ".": { import: "./src/mod.ts" } } }))
    expect(of("a/src/mod.ts")).toBe("@acme/a")
  })

  test("names no package for a file that merely lies in one", () => {
    expect(of("a/mine.ts")).toBeUndefined()
  })

  test("names the package of whatever is installed", () => {
    write("node_modules/b/package.json", JSON.stringify({ name: "b" }))
    expect(of("node_modules/b/deep/index.js")).toBe("b")
  })

  test("says nothing of a damaged package.json", () => {
    write("c/package.json", "{")
    expect(of("c/mod.ts")).toBeUndefined()
  })
})

test("textTable() pads all columns but the last", () => {
  expect(
    textTable([
      ["a", "b", "c"],
      ["long", "", "tail"]
    ])
  ).toBe("a     b  c\nlong     tail")
})
