// Goal: the example plugins are what a stranger could have written: packages that install, build, pass their own tests and run from nothing but
// tarballs, ours and theirs.
// Method: each is packed as it would be published. From its tarball it is first unpacked, installed, built and tested as its author would; then all
// three are dependencies of a project that names them. Packages come from a registry of the test's own.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"
import { globSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { pack } from "../../scripts/pack.ts"
import { openRegistry, reachesRegistry, type Registry } from "../support/registry.ts"

const root = realpathSync(join(import.meta.dir, "..", ".."))
const model = join(root, "models/relu-llama-7m/relu-llama-7m-f16.gguf")
const timeoutMs = 120_000
const isReachable = await reachesRegistry()
const canCompile = Bun.which("cc") !== null

const examples = [
  { folder: "frequent_neurons", flags: ["--predictor", "frequent_neurons"], isNative: false },
  { folder: "nearest_signs", flags: ["--predictor", "nearest_signs:share=0.5"], isNative: true },
  {
    folder: "linear_partition",
    flags: ["--placement", "linear_partition", "--backend", "cpu", "--backend", "cpu"],
    isNative: false
  }
] as const

let registry: Registry
let folder = ""
let library = ""
const tarballs = new Map<string, string>()

// Not spawnSync: the registry answers from this very process.
const run = async (args: ReadonlyArray<string>, cwd: string) => {
  const child = Bun.spawn([process.execPath, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      ...registry.environment,
      PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
      POWERINFER_LIBRARY: library,
      NO_COLOR: "1"
    }
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  const code = await child.exited
  if (code !== 0) throw new Error(`bun ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`)
  return { stdout, stderr }
}

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-examples-")))
  if (!isReachable) return
  library = (await Effect.runPromise(locateLibrary())).path
  registry = await openRegistry(pack(join(folder, "tarballs")))
  for (const example of examples) {
    const packed = join(folder, "packed", example.folder)
    await run(
      ["pm", "pack", "--ignore-scripts", "--destination", packed],
      join(root, "examples/plugins", example.folder)
    )
    tarballs.set(example.folder, join(packed, globSync("*.tgz", { cwd: packed })[0]!))
  }
}, timeoutMs)

afterAll(() => {
  registry?.close()
  rmSync(folder, { recursive: true, force: true })
})

test("the examples are outside the workspace", () => {
  const { workspaces } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { workspaces: Array<string> }
  const members = new Set(workspaces.flatMap((pattern) => globSync(pattern, { cwd: root })))
  const folders = globSync("examples/plugins/*", { cwd: root }).filter((path) => !members.has(path))
  expect(folders.map((path) => basename(path)).sort()).toEqual(examples.map((example) => example.folder).sort())
})

for (const example of examples) {
  test.skipIf(!isReachable || (example.isNative && !canCompile))(
    `${example.folder} installs, builds and passes its own tests from its tarball`,
    async () => {
      const home = join(folder, "unpacked", example.folder)
      await new Bun.Archive(readFileSync(tarballs.get(example.folder)!)).extract(home)
      const directory = join(home, "package")
      await run(["install"], directory)
      if (example.isNative) await run(["run", "build"], directory)
      const { stderr } = await run(["run", "test"], directory)
      expect(stderr).toMatch(/[1-9]\d* pass\n 0 fail/)
    },
    timeoutMs
  )
}

test.skipIf(!isReachable || !canCompile)(
  "the examples run by their names in a project that depends on them",
  async () => {
    const project = join(folder, "project")
    mkdirSync(project)
    writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
    await run(["add", "powerinfer", ...tarballs.values()], project)
    const powerinfer = (...args: ReadonlyArray<string>) => run(["run", "powerinfer", ...args], project)
    const listed = (await powerinfer("plugin", "list")).stdout
    for (const example of examples) expect(listed).toContain(example.folder)

    await powerinfer("plugin", "build", "predictor-nearest-signs")
    const asked = ["generate", model, "The king said", "--max-tokens", "8", "--temperature", "0", "--json"]
    const dense = JSON.parse((await powerinfer(...asked, "--predictor", "every_neuron")).stdout)
    for (const example of examples) {
      const { text, figures } = JSON.parse((await powerinfer(...asked, ...example.flags)).stdout)
      // Only the kernel guesses; untrained counts and a placement change no token.
      if (example.isNative) expect(figures.active_share).toBeLessThan(0.5)
      else expect(text).toBe(dense.text)
    }
  },
  timeoutMs
)
