// Goal: a checkout does under Deno what it does under Bun: the example, the command line, the types, the tasks of deno.json.
// Method: each program runs under both runtimes and must print the same; tasks that hand over to Bun run in a small checkout of their own.
// Needs `deno` in PATH. Tasks that run without node_modules also need its packages, from Deno's cache or a registry.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"
import denoConfig from "../../deno.json" with { type: "json" }

const root = join(import.meta.dir, "..", "..")
const deno = Bun.which("deno") ?? ""
const bun = process.execPath
const model = "models/relu-llama-7m/relu-llama-7m-f16.gguf"
const timeoutMs = 60_000

const run = (command: ReadonlyArray<string>, cwd = root, more: Readonly<Record<string, string>> = {}) => {
  const env = { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...more }
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd, env, stdin: "ignore" })
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

/** Asked of Deno without our code, so that a mistake of ours is never taken for a missing network. */
const hasPackages = (): boolean => {
  const packages = Object.values(denoConfig.imports).filter((target) => /^npm:[^/]/.test(target))
  return deno !== "" && run([deno, "cache", "--no-config", ...packages], tmpdir()).exitCode === 0
}

describe.skipIf(deno === "")("under Deno, with the packages in node_modules,", () => {
  test(
    "examples/generate.ts prints the same text as under Bun, and ends",
    () => {
      const expected = run([bun, "examples/generate.ts"])
      expect(expected.stdout).not.toBe("")
      expect(run([deno, "run", "-A", "examples/generate.ts"])).toEqual({ ...expected, exitCode: 0 })
    },
    timeoutMs
  )

  test(
    "every program typechecks",
    () => {
      const { exitCode, stderr } = run([deno, "check", "mod.ts", "examples/generate.ts", "apps/cli/main.ts"])
      expect(exitCode, stderr).toBe(0)
    },
    timeoutMs
  )

  test(
    "powerinfer prints the same logits as under Bun, byte for byte",
    () => {
      const folder = mkdtempSync(join(tmpdir(), "powerinfer-deno-"))
      const logits = (runtime: ReadonlyArray<string>, file: string) =>
        run([...runtime, "apps/cli/main.ts", "logits", model, "--tokens", "1,2,3", "--out", join(folder, file)])
      const statuses = [logits([bun], "bun"), logits([deno, "run", "-A"], "deno")].map(({ exitCode }) => exitCode)
      expect(statuses).toEqual([0, 0])
      const compared = run(["cmp", join(folder, "bun"), join(folder, "deno")])
      rmSync(folder, { recursive: true })
      expect(compared).toEqual({ exitCode: 0, stdout: "", stderr: "" })
    },
    timeoutMs
  )

  test(
    "powerinfer refuses a missing file with the words and the status it has under Bun",
    () => {
      const command = ["apps/cli/main.ts", "inspect", "nowhere.gguf"]
      const expected = run([bun, ...command])
      expect(expected.exitCode).toBeGreaterThan(0)
      expect(run([deno, "run", "-A", ...command])).toEqual(expected)
    },
    timeoutMs
  )

  for (const word of ["test", "ok"]) {
    test(
      `deno task ${word} runs scripts/${word}.ts under Bun, with its arguments and its exit status`,
      () => {
        const checkout = mkdtempSync(join(tmpdir(), "powerinfer-deno-"))
        mkdirSync(join(checkout, "scripts"))
        for (const file of ["deno.json", "scripts/launch.mjs"]) copyFileSync(join(root, file), join(checkout, file))
        writeFileSync(join(checkout, "package.json"), JSON.stringify({ packageManager: "bun@1.0.0" }))
        writeFileSync(
          join(checkout, `scripts/${word}.ts`),
          "console.log(typeof Bun, JSON.stringify(process.argv.slice(2)))\nprocess.exit(37)\n"
        )
        const { exitCode, stdout } = run([deno, "task", word, "two words", "--last"], checkout)
        rmSync(checkout, { recursive: true })
        expect({ exitCode, stdout }).toEqual({ exitCode: 37, stdout: 'object ["two words","--last"]\n' })
      },
      timeoutMs
    )
  }
})

describe.skipIf(!hasPackages())("under Deno alone, without node_modules,", () => {
  let checkout = ""
  let library = ""
  const runAlone = (...command: ReadonlyArray<string>) =>
    run([deno, ...command], checkout, { POWERINFER_LIBRARY: library })

  beforeAll(async () => {
    library = (await Effect.runPromise(locateLibrary())).path
    checkout = mkdtempSync(join(tmpdir(), "powerinfer-deno-"))
    const filter = (path: string) => basename(path) !== "node_modules"
    for (const entry of [
      "apps",
      "core",
      "plugins",
      "scripts",
      "test/support/assert",
      "deno.json",
      "mod.ts",
      "package.json"
    ]) {
      cpSync(join(root, entry), join(checkout, entry), { recursive: true, filter })
    }
    symlinkSync(join(root, "models"), join(checkout, "models"))
  })

  afterAll(() => rmSync(checkout, { recursive: true, force: true }))

  test(
    "deno task start generates the example's text",
    () => {
      const { exitCode, stdout } = runAlone("task", "start")
      expect(stdout).toBe(`${run([bun, "examples/generate.ts"]).stdout}\n`)
      expect(exitCode).toBe(0)
    },
    timeoutMs
  )

  test(
    "deno task start passes arguments on as they are",
    () => {
      const { stdout } = runAlone("task", "start", "tokenize", model, "two words")
      expect(stdout).toContain("words")
      expect(stdout).toBe(run([bun, "apps/cli/main.ts", "tokenize", model, "two words"]).stdout)
    },
    timeoutMs
  )

  test(
    "deno task powerinfer is the command line",
    () => {
      const { exitCode, stderr } = runAlone("task", "--quiet", "powerinfer", "inspect", "nowhere.gguf")
      expect({ exitCode, stderr }).toEqual({
        exitCode: 3,
        stderr: "powerinfer: Cannot open nowhere.gguf: there is no such file; check the path\n"
      })
    },
    timeoutMs
  )

  test("neither a lockfile nor node_modules is left in the checkout", () => {
    expect(readdirSync(checkout).filter((name) => /^(deno\.lock|node_modules)$/.test(name))).toEqual([])
  })
})
