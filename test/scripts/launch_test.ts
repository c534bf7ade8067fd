// Goal: `npm start` and `npm test` reach Bun from Node or from Bun, pass on arguments, statuses and signals, and leave nothing behind.
// Method: a small checkout of its own with the real launcher, started by each runtime of this machine. No network: its one
// package is in the checkout.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const node = Bun.which("node") ?? ""
const runtimes = [
  { name: "Bun", file: process.execPath, isHere: true },
  { name: "Node", file: node, isHere: node !== "" }
]

let checkout = ""

/** Asks for a Bun that is certainly old enough, or certainly too new. */
const writeManifest = (wantedBun: string) => {
  const manifest = { name: "checkout", workspaces: ["bun"], packageManager: `bun@${wantedBun}` }
  writeFileSync(join(checkout, "package.json"), JSON.stringify(manifest))
  writeFileSync(join(checkout, "bun", "package.json"), JSON.stringify({ name: "bun", version: wantedBun }))
}

beforeAll(() => {
  checkout = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-launch-")))
  for (const folder of ["scripts", "apps/cli", "bun"]) mkdirSync(join(checkout, folder), { recursive: true })
  copyFileSync(join(import.meta.dir, "..", "..", "scripts", "launch.mjs"), join(checkout, "scripts", "launch.mjs"))
  writeManifest("1.0.0")
  writeFileSync(
    join(checkout, "apps/cli/main.ts"),
    `const [command, ...rest] = process.argv.slice(2)
console.log(JSON.stringify({ command, rest, bun: Bun.version, folder: process.cwd() }))
if (command === "exit") process.exit(Number(rest[0]))
if (command === "wait") await Bun.sleep(60_000)
if (command === "which") console.log(Bun.which("bun"))
`
  )
})

afterAll(() => rmSync(checkout, { recursive: true, force: true }))

const environment = { ...process.env, PATH: [dirname(process.execPath), process.env["PATH"]].join(":") }

const launch = (runtime: string, ...args: ReadonlyArray<string>) => {
  const command = [runtime, join(checkout, "scripts/launch.mjs"), ...args]
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: tmpdir(), env: environment })
  return { exitCode, lines: stdout.toString().trimEnd().split("\n"), stderr: stderr.toString() }
}

for (const { name, file, isHere } of runtimes) {
  describe.skipIf(!isHere)(`launch.mjs under ${name}`, () => {
    test("installs once, on stderr, then starts at once", () => {
      rmSync(join(checkout, "node_modules"), { recursive: true, force: true })
      const cold = launch(file, "start", "hello")
      expect(cold.stderr).toContain("Installing packages")
      expect(cold.lines).toHaveLength(1)
      expect(launch(file, "start", "hello").stderr).toBe("")
    })

    test("installs again when package.json says something else", () => {
      launch(file, "start")
      writeManifest("1.0.1")
      rmSync(join(checkout, "bun.lock"), { force: true })
      expect(launch(file, "start").stderr).toContain("Installing packages")
      expect(launch(file, "start").stderr).toBe("")
    })

    test("start generates text from the model in the repository", () => {
      const { command, rest, folder } = JSON.parse(launch(file, "start").lines[0]!)
      expect(command).toBe("generate")
      expect(rest[0]).toBe("models/relu-llama-7m/relu-llama-7m-f16.gguf")
      expect(rest).toContain("--max-tokens")
      expect(folder).toBe(checkout)
    })

    test("start passes arguments on as they are, and the exit status back", () => {
      const { rest } = JSON.parse(launch(file, "start", "chat", "two words", "--", "$HOME", "").lines[0]!)
      expect(rest).toEqual(["two words", "--", "$HOME", ""])
      expect(launch(file, "start", "exit", "37").exitCode).toBe(37)
    })

    test("puts its Bun first in PATH", () => {
      const found = launch(file, "start", "which").lines[1]!
      expect(realpathSync(found)).toBe(realpathSync(process.execPath))
    })

    test("refuses another word, naming those it knows", () => {
      const { exitCode, stderr } = launch(file, "toString")
      expect(exitCode).toBe(2)
      expect(stderr).toBe('Cannot launch "toString": use one of start, test, ok\n')
    })

    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const) {
      test(`stops at once on ${signal} and leaves no process behind`, async () => {
        const launcher = Bun.spawn([file, join(checkout, "scripts/launch.mjs"), "start", "wait"], {
          env: environment,
          stdio: ["ignore", "pipe", "ignore"]
        })
        const output = launcher.stdout.getReader()
        const { value } = await output.read()
        expect(JSON.parse(new TextDecoder().decode(value)).command).toBe("wait")

        launcher.kill(signal)
        await launcher.exited
        expect(launcher.signalCode).toBe(signal)
        // Bun writes to the same pipe: it ends when the last of the two is gone. Bun would sleep for a minute.
        expect((await output.read()).done).toBe(true)
      })
    }

    test("says what to do when Bun cannot be fetched", () => {
      writeManifest("99.0.0")
      const nowhere = "http://127.0.0.1:9"
      const { exitCode, stderr } = Bun.spawnSync([file, join(checkout, "scripts/launch.mjs"), "start"], {
        env: {
          ...environment,
          npm_config_registry: nowhere,
          npm_config_fetch_retries: "0",
          BUN_CONFIG_REGISTRY: nowhere
        }
      })
      writeManifest("1.0.0")
      expect(exitCode).toBe(1)
      expect(stderr.toString()).toContain("Fetching Bun 99.0.0 into build/bun")
      expect(stderr.toString()).toContain(
        "Cannot fetch Bun 99.0.0: the installer's own words are above; check the network"
      )
    })
  })
}
