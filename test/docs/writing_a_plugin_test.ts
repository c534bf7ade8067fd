// Goal: whoever types what docs/writing_a_plugin.md says, in an empty folder and with nothing but our packages, gets what it promises.
// Method: the checkout is packed and served by a registry of the test's own; then every `sh` block is run and every file block written, in
// order. Two things are given: MODEL, and the native library, whose build of a minute is tested elsewhere (test/native).
import { afterAll, beforeAll, expect, test } from "bun:test"
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pack } from "../../scripts/pack.ts"
import { openRegistry, type Registry, reachesRegistry } from "../support/registry.ts"

const root = realpathSync(join(import.meta.dir, "..", ".."))
const document = readFileSync(join(root, "docs/writing_a_plugin.md"), "utf8")
const timeoutMs = 120_000

/** ```sh to be typed, ```sh c where there is a C compiler, ```ts PATH to be written; other blocks are to be read. */
const blocks = [...document.matchAll(/```(sh|ts) ?(\S*)\n([\s\S]*?)```/g)].map(
  ([, language, word = "", text = ""]) => ({
    path: language === "ts" ? word : "",
    needsC: language === "sh" && word === "c",
    text,
    what: language === "ts" ? `the file ${word}` : text.trim().split("\n").at(-1)!
  })
)

const canCompile = Bun.which("cc") !== null
const isReachable = await reachesRegistry()
let registry: Registry
let folder = ""
let library = ""

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-guide-")))
  if (!isReachable) return
  library = (await Effect.runPromise(locateLibrary())).path
  registry = await openRegistry(pack(join(folder, "tarballs")))
}, timeoutMs)

afterAll(() => {
  registry?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Where the next block is typed: a `cd` holds. */
let directory = ""

// Not spawnSync: the registry answers from this very process.
const type = async (text: string) => {
  const whereabouts = join(folder, "whereabouts")
  const child = Bun.spawn(["sh", "-c", `set -e\n${text}\npwd > "${whereabouts}"`], {
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      ...registry.environment,
      PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
      POWERINFER_LIBRARY: library,
      MODEL: join(root, "models/relu-llama-7m/relu-llama-7m-f16.gguf"),
      NO_COLOR: "1"
    }
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  const exitCode = await child.exited
  if (exitCode === 0) directory = readFileSync(whereabouts, "utf8").trim()
  return { exitCode, stdout, stderr }
}

test("the guide has something to type", () => {
  expect(blocks.filter(({ path }) => path === "").length).toBeGreaterThan(5)
  expect(blocks.filter(({ path }) => path !== "").length).toBeGreaterThan(0)
})

for (const [index, { path, needsC, text, what }] of blocks.entries()) {
  test.skipIf(!isReachable || (needsC && !canCompile))(
    `the guide's step ${index + 1} works: ${what}`,
    async () => {
      if (index === 0) directory = realpathSync(mkdtempSync(join(folder, "empty-")))
      if (path !== "") return writeFileSync(join(dirname(directory), path), text)
      const { exitCode, stdout, stderr } = await type(text)
      expect(exitCode, `${stdout}\n${stderr}`).toBe(0)
      if (text.includes("generate") || text.includes("script.ts")) expect(stdout.length).toBeGreaterThan(40)
      if (text.includes("bench")) for (const name of ["exact_gate", "every_neuron"]) expect(stdout).toContain(name)
      if (text.includes("run test")) expect(stderr).toMatch(/ 0 fail/)
    },
    timeoutMs
  )
}
