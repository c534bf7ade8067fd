// How do `npm start` and `npm test` work on a machine that has only Node, or only Bun? And `deno task`, where there is only Deno?
// Finds Bun (or fetches it into build/bun), installs the packages of bun.lock when they are stale, then hands over to Bun.
// `start` under Deno needs neither: Deno runs our TypeScript, with packages from its own cache.
// Only Node's own modules: this file runs before anything is installed.
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bunFolder = join(root, "build", "bun")
const stampFile = join(root, "node_modules", ".powerinfer_launch.json")
const bunName = process.platform === "win32" ? "bun.exe" : "bun"

const demonstration = [
  ["generate", "models/relu-llama-7m/relu-llama-7m-f16.gguf", "And it came to pass"],
  ["--max-tokens", "64", "--temperature", "0.7", "--seed", "1"]
].flat()

/** What Bun runs for each word after `launch.mjs`. */
const commands = {
  start: (args) => ["apps/cli/main.ts", ...(args.length > 0 ? args : demonstration)],
  test: (args) => ["scripts/test.ts", ...args],
  ok: (args) => ["scripts/ok.ts", ...args]
}

const main = () => {
  const [word = "", ...args] = process.argv.slice(2)
  const command = Object.hasOwn(commands, word) ? commands[word] : undefined
  if (!command) stop(`Cannot launch "${word}": use one of ${Object.keys(commands).join(", ")}`, 2)

  if (word === "start" && process.versions.deno) return runHere(command(args))

  const manifest = readFileSync(join(root, "package.json"), "utf8")
  const wantedVersion = JSON.parse(manifest).packageManager.replace("bun@", "")
  // Contents, not times: a checkout or a copy changes times without changing what must be installed.
  const wantedPackages = createHash("sha256").update(manifest).update(readIfThere("bun.lock")).digest("hex")
  const stamp = readStamp()

  const bun = findBun(wantedVersion, stamp.bun) ?? fetchBun(wantedVersion)
  if (stamp.packages !== wantedPackages) installPackages(bun)
  if (stamp.packages !== wantedPackages || stamp.bun !== bun) {
    mkdirSync(dirname(stampFile), { recursive: true })
    writeFileSync(stampFile, JSON.stringify({ bun, packages: wantedPackages }))
  }
  handOver(bun, command(args))
}

/** The first Bun that is new enough: the one running this, the one used last, the one fetched here, one from node_modules, one in PATH. */
const findBun = (wantedVersion, lastUsed) => {
  if (isRecent(process.versions.bun ?? "", wantedVersion)) return process.execPath
  const isUsable = (file) => existsSync(file) && isRecent(versionOf(file), wantedVersion)
  return [
    ...(lastUsed ? [lastUsed] : []),
    ...platformBinaries(join(bunFolder, "node_modules")),
    ...platformBinaries(join(root, "node_modules")),
    ...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, bunName))
  ].find(isUsable)
}

/** The npm package `bun` is a shell whose install script links the platform's package; scripts may be forbidden, so look at the latter. */
const platformBinaries = (modules) => {
  const scope = join(modules, "@oven")
  return existsSync(scope) ? readdirSync(scope).map((name) => join(scope, name, "bin", bunName)) : []
}

/** The version that a binary reports, or "" when it does not run on this machine (another libc, a CPU without AVX2). */
const versionOf = (file) => {
  const { status, stdout } = spawnSync(file, ["--version"], { encoding: "utf8" })
  return status === 0 ? stdout.trim() : ""
}

const isRecent = (version, wanted) => {
  if (!/^\d+\.\d+\.\d+/.test(version)) return false
  const [have, need] = [version, wanted].map((text) => text.split(".").map((part) => Number.parseInt(part, 10)))
  const difference = have.map((part, i) => part - need[i]).find((part) => part !== 0)
  return difference === undefined || difference > 0
}

/** Installs the pinned Bun into a folder of its own: npm cannot read the `workspace:*` versions of our package.json. */
const fetchBun = (version) => {
  say(`Fetching Bun ${version} into build/bun (once) …`)
  mkdirSync(bunFolder, { recursive: true })
  writeFileSync(join(bunFolder, "package.json"), JSON.stringify({ private: true, dependencies: { bun: version } }))
  const result = installBun()
  if (result.error) {
    stop(
      `Cannot fetch Bun ${version}: its installer does not start (${result.error.message}); install npm, or Bun from https://bun.sh`
    )
  }
  if (result.status !== 0) {
    stop(
      `Cannot fetch Bun ${version}: the installer's own words are above; check the network, or install Bun from https://bun.sh`
    )
  }
  const found = platformBinaries(join(bunFolder, "node_modules")).find((file) => isRecent(versionOf(file), version))
  if (!found) {
    stop(
      `Cannot fetch Bun ${version}: it has no binary that runs on ${process.platform}-${process.arch}; see https://bun.sh`
    )
  }
  return found
}

/** With the installer of the runtime that is here, into one flat node_modules. */
const installBun = () => {
  if (process.versions.bun) return runInFolder(process.execPath, ["install", "--ignore-scripts", "--linker=hoisted"])
  if (process.versions.deno) {
    // Runs no install scripts unless told to; quiet, or it advises to approve Bun's.
    const flat = ["--node-modules-dir=manual", "--node-modules-linker=hoisted"]
    return runInFolder(process.execPath, ["install", "--quiet", "--no-lock", ...flat])
  }
  return runNpm(["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"])
}

/** Starts the npm that started us, so that its version and settings are kept; else the one in PATH. */
const runNpm = (args) => {
  const npmScript = process.env.npm_execpath ?? ""
  if (/npm-cli\.[cm]?js$/.test(npmScript)) return runInFolder(process.execPath, [npmScript, ...args])
  // On Windows npm is a batch file, which only a shell can start.
  return runInFolder("npm", args, { shell: process.platform === "win32" })
}

// Installers talk on our stderr: stdout belongs to what the user asked for.
const runInFolder = (file, args, options = {}) =>
  spawnSync(file, args, { cwd: bunFolder, stdio: ["ignore", 2, 2], ...options })

const installPackages = (bun) => {
  say("Installing packages …")
  const { status } = runInFolder(bun, ["install", "--frozen-lockfile", "--ignore-scripts"], { cwd: root })
  if (status !== 0) {
    stop("Cannot install the packages of bun.lock: Bun's own words are above; check the network and run this again")
  }
}

/** Runs a program of ours in this very process, as if it had been started from the root. */
const runHere = ([file, ...args]) => {
  process.chdir(root)
  process.argv.splice(1, Infinity, join(root, file), ...args)
  return import(pathToFileURL(join(root, file)).href)
}

/** Runs Bun in our place: same terminal, same signals, same exit status, and no Bun left behind when we are killed. */
const handOver = (bun, args) => {
  const child = spawn(bun, ["--no-orphans", ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: [dirname(bun), process.env.PATH ?? ""].join(delimiter) }
  })
  // Ctrl-C in a terminal reaches the child by itself: forwarding it would make it a second Ctrl-C.
  const isInTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal !== "SIGINT" || !isInTerminal) child.kill(signal)
    })
  }
  child.on("error", (error) => stop(`Cannot start ${bun}: ${error.message}`))
  child.on("exit", (status, signal) => {
    if (signal) {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    } else process.exit(status ?? 1)
  })
}

const readIfThere = (name) => (existsSync(join(root, name)) ? readFileSync(join(root, name)) : "")

const readStamp = () => {
  try {
    return JSON.parse(readFileSync(stampFile, "utf8"))
  } catch {
    // Missing or cut short: as good as never installed.
    return {}
  }
}

const say = (line) => process.stderr.write(`${line}\n`)

const stop = (line, status = 1) => {
  say(line)
  process.exit(status)
}

await main()
