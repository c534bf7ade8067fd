// Is this checkout fit to be shared? `bun run ok`: every check in turn, cheapest first; stops at the first that fails and names it.
// `--without-tests` leaves out the last step, for a caller that runs the tests itself.
import { join } from "node:path"
import {
  cudaSimulatorTests,
  type NativeBuild,
  nativeBuildCommands,
  nativeBuildFolder,
  nativeTestProgram,
  releaseTargets
} from "./native_build.ts"
import { addTotals, formatTotals, parseTotals, type TestTotals } from "./test_totals.ts"

const root = join(import.meta.dir, "..")

/** Runs a program in the root, showing what it prints. Returns its exit status and its standard output. */
const run = async (command: ReadonlyArray<string>): Promise<{ readonly status: number; readonly output: string }> => {
  if (!Bun.which(command[0]!, { cwd: root })) {
    const remedy = command[0] === "cmake" ? "; install it (Debian: apt-get install g++ cmake)" : ""
    console.error(`Cannot run ${command[0]}: there is no such program${remedy}`)
    return { status: 127, output: "" }
  }
  const child = Bun.spawn([...command], { cwd: root, stdio: ["ignore", "pipe", "inherit"] })
  let output = ""
  const decoder = new TextDecoder()
  for await (const chunk of child.stdout) {
    process.stdout.write(chunk)
    output += decoder.decode(chunk, { stream: true })
  }
  return { status: await child.exited, output }
}

const succeeds = async (...commands: ReadonlyArray<ReadonlyArray<string>>): Promise<boolean> => {
  for (const command of commands) if ((await run(command)).status !== 0) return false
  return true
}

/** A program of node_modules, started by this Bun: there may be no Node for its first line to name. */
const tool = (name: string, ...args: ReadonlyArray<string>) => [process.execPath, `node_modules/.bin/${name}`, ...args]

/** What the test programs have reported so far. */
const totals: Array<TestTotals> = []

const testsPass = async (command: ReadonlyArray<string>): Promise<boolean> => {
  const { status, output } = await run(command)
  const counted = parseTotals(output)
  if (!counted) console.error("The tests ended without their closing line")
  totals.push(counted ?? { passed: 0, failed: 1, skipped: 0 })
  return status === 0 && counted !== undefined && counted.failed === 0
}

/** Kernels on a CPU. The simulator needs Linux; elsewhere what it would have counted is not claimed. */
const cudaSimulatorTestsPass = async (build: NativeBuild, streams: "eager" | "lazy"): Promise<boolean> => {
  if (process.platform !== "linux") {
    console.log("   skipped: the CUDA simulator runs on Linux")
    totals.push({ passed: 0, failed: 0, skipped: 1 })
    return true
  }
  const program = cudaSimulatorTests[build]
  if (!(await succeeds(...nativeBuildCommands(build, program)))) return false
  return testsPass([
    "env",
    `CUDA_SIM_STREAM=${streams}`,
    "CUDA_SIM_DEVICES=2",
    join(root, nativeBuildFolder(build), program)
  ])
}

const lockfileNamesNoHost = async (): Promise<boolean> => {
  const lines = (await Bun.file(join(root, "bun.lock")).text()).split("\n")
  const guilty = lines.filter((line) => /https?:\/\//.test(line))
  for (const line of guilty) console.error(`bun.lock names a host: ${line.trim()}`)
  return guilty.length === 0
}

const checks: ReadonlyArray<{ readonly name: string; readonly passes: () => Promise<boolean> }> = [
  { name: "lockfile", passes: lockfileNamesNoHost },
  { name: "format", passes: () => succeeds(tool("oxfmt", "--check")) },
  { name: "lint", passes: () => succeeds(tool("oxlint", "--deny-warnings")) },
  { name: "types", passes: () => succeeds(tool("tsc", "-p", "tsconfig.json", "--noEmit")) },
  { name: "native release build", passes: () => succeeds(...nativeBuildCommands("release", ...releaseTargets)) },
  { name: "native sanitizer build", passes: () => succeeds(...nativeBuildCommands("sanitize")) },
  { name: "native tests", passes: () => testsPass([join(root, nativeTestProgram("sanitize"))]) },
  { name: "CUDA kernels (cuda-sim)", passes: () => cudaSimulatorTestsPass("sanitize", "eager") },
  { name: "CUDA kernels, races (cuda-sim)", passes: () => cudaSimulatorTestsPass("release", "lazy") },
  { name: "tests", passes: () => testsPass([process.execPath, "scripts/test.ts"]) }
]

const withoutTests = process.argv.includes("--without-tests")
for (const { name, passes } of checks) {
  if (withoutTests && name === "tests") continue
  console.log(`── ${name}`)
  const start = performance.now()
  if (await passes()) {
    console.log(`   ${name}: ok, ${((performance.now() - start) / 1000).toFixed(1)} s`)
    continue
  }
  console.error(`Not ok: ${name}`)
  process.exitCode = 1
  break
}

const total = addTotals(totals)
// A check that is not a test still has to show in the one line that is read.
const failedCheck = process.exitCode === 1 && total.failed === 0 ? 1 : 0
console.log(formatTotals({ ...total, failed: total.failed + failedCheck }))
