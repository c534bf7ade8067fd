// Goal: `plugin create` writes packages that are sound where they stand, and never touches what is there.
// Method: each kind is created inside the checkout, whose node_modules it then sees: its own tests and its types run as they are.
// That it works away from the checkout, from packages: test/docs/writing_a_plugin_test.ts.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { developmentVersions } from "../../../apps/cli/plugin_package.ts"
import { model, root, runCli } from "./run_cli.ts"

const build = join(root, "build")
mkdirSync(build, { recursive: true })
const folder = mkdtempSync(join(build, "plugin_create_"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const run = (command: ReadonlyArray<string>, cwd: string) => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, ...command], { cwd })
  return { code: exitCode, text: `${stdout}${stderr}` }
}

for (const { kind, flags } of [
  { kind: "predictor", flags: [] },
  { kind: "placement", flags: ["--backend", "reference", "--backend", "reference"] },
  { kind: "backend", flags: [] }
]) {
  describe(`plugin create ${kind}`, () => {
    const target = join(folder, kind)
    beforeAll(async () => {
      const { code, stdout } = await runCli(["plugin", "create", kind, "hash_rows", "--directory", target])
      expect(code).toBe(0)
      expect(stdout).toContain("bun install")
    })

    test("writes a package that announces its plugin", () => {
      const manifest = JSON.parse(readFileSync(join(target, "package.json"), "utf8"))
      expect(manifest).toMatchObject({ name: `${kind}-hash-rows`, powerinfer: { [kind]: { hash_rows: "./mod.ts" } } })
      const texts = readdirSync(target).map((name) => readFileSync(join(target, name), "utf8"))
      expect(texts.filter((text) => /plugin_name|engine_range/.test(text))).toEqual([])
    })

    test("writes tests that pass and types that hold", () => {
      const tested = run(["test"], target)
      expect(tested.text).toMatch(/ 0 fail/)
      expect(tested.code).toBe(0)
      expect(run([join(root, "node_modules/.bin/tsc"), "--noEmit"], target)).toEqual({ code: 0, text: "" })
    }, 60_000)

    test("writes a plugin that runs", async () => {
      const mine = [`--${kind}`, join(target, "mod.ts")]
      const asked = ["And it came", "--max-tokens", "4", "--temperature", "0", "--json"]
      const { code, stdout } = await runCli(["generate", model, ...asked, ...mine, ...flags])
      expect(code).toBe(0)
      expect(JSON.parse(stdout).text).not.toBe("")
    }, 60_000)
  })
}

test("plugin create refuses a folder that is there, and leaves it alone", async () => {
  const target = join(folder, "taken")
  mkdirSync(target)
  writeFileSync(join(target, "mine.txt"), "mine")
  const { code, stderr } = await runCli(["plugin", "create", "predictor", "a", "--directory", target])
  expect(code).toBe(3)
  expect(stderr).toContain("is already there")
  expect(readdirSync(target)).toEqual(["mine.txt"])
  expect(readdirSync(dirname(target)).filter((name) => name.includes(".tmp-"))).toEqual([])
})

for (const name of ["Hash", "hash-rows", "_hash", "hash__rows", "1hash", "../hash", "", "a".repeat(65)]) {
  test(`plugin create refuses the name ${JSON.stringify(name)}`, async () => {
    const target = join(folder, "nameless")
    const { code, stderr } = await runCli(["plugin", "create", "predictor", name, "--directory", target])
    expect(code).toBe(2)
    expect(stderr).toContain("is no name for a plugin")
    expect(existsSync(target)).toBe(false)
  })
}

test("new packages are developed with the versions of the checkout", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  expect(devDependencies).toMatchObject(developmentVersions)
})
