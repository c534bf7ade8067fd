// Goal: the engine runs from packages in node_modules, its worker included. Deno runs no TypeScript there, so packages are compiled.
// Method: compiles mod.ts, core and the plugins as they would be published, copies them into a project of its own and generates there.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const root = realpathSync(join(import.meta.dir, "..", ".."))
const deno = Bun.which("deno") ?? ""
const timeoutMs = 60_000
let project = ""
let library = ""

const compile = (outDir: string) => {
  const config = join(project, "tsconfig.json")
  const include = ["mod.ts", "core", "plugins"].map((path) => join(root, path))
  const compilerOptions = {
    noEmit: false,
    rewriteRelativeImportExtensions: true,
    rootDir: root,
    outDir,
    typeRoots: [join(root, "node_modules/@types")]
  }
  const settings = { extends: join(root, "tsconfig.json"), compilerOptions, include, exclude: ["**/node_modules"] }
  writeFileSync(config, JSON.stringify(settings))
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, join(root, "node_modules/.bin/tsc"), "-p", config])
  expect(exitCode, stdout.toString()).toBe(0)
}

beforeAll(async () => {
  library = (await Effect.runPromise(locateLibrary())).path
  project = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-packages-")))
  const compiled = join(project, "compiled")
  compile(compiled)

  const modules = join(project, "node_modules")
  for (const manifest of [
    "package.json",
    ...globSync(["core/package.json", "plugins/*/*/package.json"], { cwd: root })
  ]) {
    const { name } = JSON.parse(readFileSync(join(root, manifest), "utf8")) as { readonly name: string }
    const folder = join(modules, name)
    const source = manifest === "package.json" ? "mod.js" : dirname(manifest)
    cpSync(join(compiled, source), source === "mod.js" ? join(folder, "mod.js") : folder, { recursive: true })
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name, type: "module", exports: { ".": "./mod.js" } }))
  }
  mkdirSync(join(modules, "@huggingface"))
  symlinkSync(realpathSync(join(root, "node_modules/effect")), join(modules, "effect"))
  symlinkSync(realpathSync(join(root, "core/node_modules/@huggingface/jinja")), join(modules, "@huggingface/jinja"))
  cpSync(join(root, "examples/generate.ts"), join(project, "generate.ts"))
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }))
}, timeoutMs)

afterAll(() => rmSync(project, { recursive: true, force: true }))

const generate = (command: ReadonlyArray<string>, cwd: string) => {
  const model = join(root, "models/relu-llama-7m/relu-llama-7m-f16.gguf")
  const env = { ...process.env, POWERINFER_LIBRARY: library, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" }
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command, model], { cwd, env, stdin: "ignore" })
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

for (const { name, command, isHere } of [
  { name: "Bun", command: [process.execPath], isHere: true },
  { name: "Deno", command: [deno, "run", "-A", "--node-modules-dir=manual"], isHere: deno !== "" }
]) {
  test.skipIf(!isHere)(
    `compiled packages in node_modules generate the checkout's text under ${name}`,
    () => {
      const expected = generate([process.execPath, join(root, "examples/generate.ts")], root)
      expect(expected.stdout).not.toBe("")
      expect(generate([...command, "generate.ts"], project)).toEqual({ ...expected, exitCode: 0, stderr: "" })
    },
    timeoutMs
  )
}
