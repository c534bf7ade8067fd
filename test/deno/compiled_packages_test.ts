// Goal: the engine runs from packages in node_modules, its worker included. Deno runs no TypeScript there, so packages are compiled.
// Method: packs the checkout as it would be published, unpacks the tarballs into a project of its own and generates there.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pack } from "../../scripts/pack.ts"

const root = realpathSync(join(import.meta.dir, "..", ".."))
const deno = Bun.which("deno") ?? ""
const timeoutMs = 60_000
let project = ""
let library = ""

/** Unpacks a tarball where an installer would put it. */
const unpack = async (tarball: string, modules: string) => {
  const unpacked = join(project, "unpacked")
  await new Bun.Archive(readFileSync(tarball)).extract(unpacked)
  const { name } = JSON.parse(readFileSync(join(unpacked, "package", "package.json"), "utf8")) as {
    readonly name: string
  }
  mkdirSync(dirname(join(modules, name)), { recursive: true })
  renameSync(join(unpacked, "package"), join(modules, name))
}

beforeAll(async () => {
  library = (await Effect.runPromise(locateLibrary())).path
  project = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-packages-")))
  const modules = join(project, "node_modules")
  for (const tarball of pack(join(project, "tarballs"))) await unpack(tarball, modules)
  mkdirSync(join(modules, "@huggingface"))
  for (const name of ["effect", "@huggingface/jinja", "semver"]) {
    symlinkSync(realpathSync(join(root, "node_modules", name)), join(modules, name))
  }
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
