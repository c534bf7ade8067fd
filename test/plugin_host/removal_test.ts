// Goal: any plugin of ours can be taken away, and everything that is not about it goes on: no file of core, of the engine, of the SDK or of the
// command line knows it by name.
// Method: a copy of the checkout without the plugin's folder and without its own tests; there types are checked, tests run, and a model generates.
// By default those that the SDK or the tests lean on are taken away one by one, all others at once, and the tests run that are quickest to notice;
// with POWERINFER_REMOVAL=all each goes alone, and every test runs that does not name it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { discoverPlugins, locateLibrary, type PluginListing } from "@powerinfer/core"
import { Effect, Semaphore } from "effect"

const root = process.cwd()
const copies = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-removal-")))
afterAll(() => rmSync(copies, { recursive: true, force: true }), 60_000)

const { path: library } = await Effect.runPromise(locateLibrary())
const { plugins } = await Effect.runPromise(discoverPlugins(root))
const everything = process.env["POWERINFER_REMOVAL"] === "all"
const timeoutMs = everything ? 1_800_000 : 120_000

const ownTests = ({ kind, name }: PluginListing): string =>
  `test/plugins/${kind === "placement" ? kind : `${kind}s`}/${name}_test.ts`

/** Those that are defaults, or that tests open where they need one of a kind. */
const namers = ["mod.ts", "test/support/plans.ts"].map((path) => readFileSync(join(root, path), "utf8"))
const isLeanedOn = ({ name }: PluginListing): boolean => namers.some((text) => text.includes(`"${name}"`))
const leanedOn = plugins.filter(isLeanedOn)
const others = plugins.filter((plugin) => !isLeanedOn(plugin))

/** What is taken away together. */
const removals: ReadonlyArray<ReadonlyArray<PluginListing>> = everything
  ? plugins.map((plugin) => [plugin])
  : [...leanedOn.map((plugin) => [plugin]), ...(others.length > 0 ? [others] : [])]

const quick = (copy: string): ReadonlyArray<string> => [
  "test/engine/engine_test.ts",
  "test/sdk_test.ts",
  "test/tidy",
  ...leanedOn.map(ownTests).filter((path) => existsSync(join(copy, path)))
]

const run = async (cwd: string, ...command: ReadonlyArray<string>) => {
  const env = { ...process.env, POWERINFER_LIBRARY: library, NO_COLOR: "1" }
  const child = Bun.spawn([...command], { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
  const [text, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { exitCode: await child.exited, text, errors }
}

/** Files of a checkout, as git sees them. */
const filesOf = (checkout: string, ...patterns: ReadonlyArray<string>): ReadonlyArray<string> =>
  Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard", ...patterns], { cwd: checkout })
    .stdout.toString()
    .trim()
    .split("\n")
    .filter((file) => existsSync(join(checkout, file)))

/** The checkout with the packages that are installed in this one. */
const copyCheckout = (name: string): string => {
  const copy = join(copies, name)
  for (const file of filesOf(root)) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    // Models are large; nobody writes to a file that is there.
    if (file.startsWith("models/")) link(join(root, file), join(copy, file))
    else cpSync(join(root, file), join(copy, file))
  }
  linkPackages(copy, "node_modules")
  Bun.spawnSync(["git", "init", "--quiet"], { cwd: copy })
  return copy
}

/** A second name for the file; where the file system has none, a copy. */
const link = (from: string, to: string): void => {
  try {
    linkSync(from, to)
  } catch {
    cpSync(from, to)
  }
}

/** Every installed package; those of the workspace as they are in the copy. */
const linkPackages = (copy: string, folder: string): void => {
  mkdirSync(join(copy, folder), { recursive: true })
  for (const entry of readdirSync(join(root, folder))) {
    const path = join(folder, entry)
    const inWorkspace = relative(root, realpathSync(join(root, path)))
    if (entry.startsWith("@") && entry !== "@types") linkPackages(copy, path)
    else
      symlinkSync(inWorkspace.startsWith("node_modules") ? join(root, path) : join(copy, inWorkspace), join(copy, path))
  }
}

/** A file of tests that quotes a plugin's name is about it, at least in part. */
const testsNotAbout = (copy: string, removed: ReadonlyArray<PluginListing>): ReadonlyArray<string> =>
  readdirSync(join(copy, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith("_test.ts") && !path.endsWith("removal_test.ts"))
    .map((path) => join("test", path))
    .filter((path) => {
      const text = readFileSync(join(copy, path), "utf8")
      return removed.every(
        (plugin) => !text.includes(plugin.package) && !new RegExp(`["'\`/ ]${plugin.name}["'\`/:]`).test(text)
      )
    })

/** What looks at the heap apart from what fills it, as scripts/test.ts does. */
const inTwo = (files: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const looksAtHeap = (file: string) => /^test\/(plugin_host|plugins|testing)\//.test(file)
  return [files.filter((file) => !looksAtHeap(file)), files.filter(looksAtHeap)]
}

const remove = (copy: string, plugin: PluginListing): void => {
  const folder = relative(root, dirname(fileURLToPath(plugin.module)))
  forgetLibraries(copy, folder)
  rmSync(join(copy, folder), { recursive: true })
  rmSync(join(copy, "test", folder), { recursive: true, force: true })
  for (const name of readdirSync(join(copy, "test", dirname(folder)))) {
    if (name.startsWith(`${plugin.name}_`)) rmSync(join(copy, "test", dirname(folder), name))
  }
}

/** Libraries that only this package has are no longer mapped for Deno. */
const forgetLibraries = (copy: string, folder: string): void => {
  const manifest = JSON.parse(readFileSync(join(copy, folder, "package.json"), "utf8")) as {
    readonly dependencies?: Readonly<Record<string, string>>
  }
  const deno = JSON.parse(readFileSync(join(copy, "deno.json"), "utf8")) as { imports: Record<string, string> }
  const elsewhere = filesOf(copy, "*package.json")
    .filter((path) => dirname(path) !== folder)
    .map((path) => readFileSync(join(copy, path), "utf8"))
  for (const library of Object.keys(manifest.dependencies ?? {})) {
    if (!elsewhere.some((text) => text.includes(`"${library}"`))) delete deno.imports[library]
  }
  writeFileSync(join(copy, "deno.json"), JSON.stringify(deno))
}

/** As many at a time as there are cores, in the order they were asked for. */
const inTurn = Effect.runSync(Semaphore.make(availableParallelism()))
/** What is started when the first test begins; each test waits for its own. */
const starts: Array<() => void> = []
const started = <Result>(job: () => Promise<Result>): Promise<Result> =>
  new Promise((resolve, reject) => {
    starts.push(() => Effect.runPromise(inTurn.withPermit(Effect.promise(job))).then(resolve, reject))
  })
beforeAll(() => {
  for (const start of starts) start()
})

const model = "models/relu-llama-7m/relu-llama-7m-f16.gguf"

test("there are plugins to take away", () => expect(plugins.length).toBeGreaterThan(4))

for (const removed of removals) {
  const names = removed.map(({ name }) => name)
  const [{ kind, name }] = removed as readonly [PluginListing]
  describe(names.length === 1 ? `without the ${kind} ${name}` : `without ${names.join(", ")}`, () => {
    const copy = copyCheckout(name)
    for (const plugin of removed) remove(copy, plugin)

    const types = started(() => run(copy, process.execPath, "node_modules/.bin/tsc", "-p", "tsconfig.json", "--noEmit"))
    // What is left may be slow: without the cpu backend the engine runs on the reference.
    const runs = (everything ? inTwo(testsNotAbout(copy, removed)) : [quick(copy)]).map((files) =>
      started(() => run(copy, process.execPath, "test", "--timeout=60000", ...files))
    )

    test("types still fit", async () => expect((await types).text).toBe(""), timeoutMs)

    test(
      "all other tests pass",
      async () => {
        for (const { exitCode, errors } of await Promise.all(runs)) {
          const told = errors.split("\n").filter((line) => /^\(fail\)|^ *\d+ (pass|fail)|error:/.test(line))
          expect({ exitCode, told }).toEqual({ exitCode: 0, told: told.filter((line) => /pass|0 fail/.test(line)) })
        }
      },
      timeoutMs
    )

    test("the command line lists the others and runs with them", async () => {
      const listed = await run(copy, process.execPath, "apps/cli/main.ts", "plugin", "list", "--json")
      const left = JSON.parse(listed.text) as { readonly plugins: ReadonlyArray<PluginListing> }
      expect(left.plugins.map(({ name }) => name).sort()).toEqual(
        plugins.flatMap((plugin) => (removed.includes(plugin) ? [] : [plugin.name])).sort()
      )
      const needsGpu = "cuda"
      const firstOf = (kind: string) =>
        left.plugins.find((one) => one.kind === kind && one.name !== needsGpu)?.name ??
        "./test/support/plugins/on_first.ts"
      const chosen = ["backend", "predictor", "placement"].flatMap((kind) => [`--${kind}`, firstOf(kind)])
      const generate = ["generate", model, "And it came", "--max-tokens", "3", "--temperature", "0", ...chosen]
      const { exitCode, text, errors } = await run(copy, process.execPath, "apps/cli/main.ts", ...generate)
      expect({ exitCode, errors: exitCode === 0 ? "" : errors }).toEqual({ exitCode: 0, errors: "" })
      expect(text.length).toBeGreaterThan(3)
    }, 60_000)
  })
}
