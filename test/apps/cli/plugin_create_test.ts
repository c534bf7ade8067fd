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

const hasC = Bun.which("cc") !== null
const hasRust = Bun.which("rustc") !== null

for (const { kind, native, flags, isHere } of [
  { kind: "predictor", native: "none", flags: [], isHere: true },
  { kind: "predictor", native: "c", flags: [], isHere: hasC },
  { kind: "predictor", native: "rust", flags: [], isHere: hasRust },
  { kind: "placement", native: "none", flags: ["--backend", "reference", "--backend", "reference"], isHere: true },
  { kind: "backend", native: "none", flags: [], isHere: true }
]) {
  describe.skipIf(!isHere)(`plugin create ${kind} --native ${native}`, () => {
    const target = join(folder, `${kind}_${native}`)
    beforeAll(async () => {
      const asked = ["plugin", "create", kind, "hash_rows", "--native", native, "--directory", target]
      const { code, stdout } = await runCli(asked)
      expect(code).toBe(0)
      expect(stdout).toContain("bun install")
      if (native !== "none") expect(await runCli(["plugin", "build", target])).toMatchObject({ code: 0, stderr: "" })
    })

    test("writes a package that announces its plugin", () => {
      const manifest = JSON.parse(readFileSync(join(target, "package.json"), "utf8"))
      expect(manifest).toMatchObject({ name: `${kind}-hash-rows`, powerinfer: { [kind]: { hash_rows: "./mod.ts" } } })
      const names = readdirSync(target, { recursive: true, encoding: "utf8" }).filter((name) => /\.\w+$/.test(name))
      const texts = names
        .filter((name) => !name.startsWith("build"))
        .map((name) => readFileSync(join(target, name), "utf8"))
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

for (const kind of ["placement", "backend"]) {
  test(`plugin create has no kernel for a ${kind}`, async () => {
    const { code, stderr } = await runCli([
      "plugin",
      "create",
      kind,
      "a",
      "--native",
      "c",
      "--directory",
      join(folder, "a")
    ])
    expect(code).toBe(2)
    expect(stderr).toContain("--native is for predictors")
  })
}

test("plugin build says that there is nothing to build", async () => {
  const { code, stderr } = await runCli(["plugin", "build", join(root, "core")])
  expect(code).toBe(2)
  expect(stderr).toContain("there is nothing to build")
})

test("plugin build says that there is no such package", async () => {
  const { code, stderr } = await runCli(["plugin", "build", "not-installed-here"])
  expect(code).toBe(2)
  expect(stderr).toContain("neither a folder with a package.json nor a package installed here")
})

test.skipIf(!hasC)("plugin build shows the compiler's words, and leaves an older library where it was", async () => {
  const target = join(folder, "broken")
  expect((await runCli(["plugin", "create", "predictor", "broken", "--native", "c", "--directory", target])).code).toBe(
    0
  )
  expect((await runCli(["plugin", "build", target])).code).toBe(0)
  const before = readdirSync(join(target, "build"))
  writeFileSync(join(target, "kernels", "broken.c"), "int broken(")
  const { code, stderr } = await runCli(["plugin", "build", target])
  expect(code).toBe(9)
  expect(stderr).toContain("broken.c:1")
  expect(readdirSync(join(target, "build"))).toEqual(before)
})

test("plugin build names what is missing where there is no compiler", async () => {
  const target = join(folder, "no_compiler")
  await runCli(["plugin", "create", "predictor", "lonely", "--native", "c", "--directory", target])
  const { code, stderr } = await runCli(["plugin", "build", target], "", { PATH: folder })
  expect(code).toBe(9)
  expect(stderr).toContain("none of cc, gcc, clang is in PATH; install a C compiler")
})

test("new packages are developed with the versions of the checkout", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  expect(devDependencies).toMatchObject(developmentVersions)
})
