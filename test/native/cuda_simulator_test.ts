// Goal: a simulator that finds nothing is worth nothing, so each mistake that it is there for must be noticed, and its mended twin must pass.
// Method: the programs of native/cuda/test/bugs, wrong as they stand and right with an argument.
import { beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { type NativeBuild, nativeBuildCommands, nativeBuildFolder } from "../../scripts/native_build.ts"

const root = join(import.meta.dir, "..", "..")
const canBuild = process.platform === "linux" && Bun.which("cmake") !== null && Bun.which("g++") !== null

const run = async (command: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) => {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { status: await child.exited, signal: child.signalCode, output: output + errors }
}

/** Builds the programs alone: they need the simulator, not the library. */
const buildBugs = async (build: NativeBuild) => {
  for (const command of nativeBuildCommands(build, "powerinfer_cuda_bugs")) {
    const { status, output } = await run(command)
    if (status !== 0) throw new Error(`${command.join(" ")} failed:\n${output}`)
  }
}

type Environment = Readonly<Record<string, string>>
const bug = (name: string, environment?: Environment, build: NativeBuild = "release") =>
  run([`${nativeBuildFolder(build)}/cuda_bugs/${name}`], environment)
const mended = (name: string, environment?: Environment, build: NativeBuild = "release") =>
  run([`${nativeBuildFolder(build)}/cuda_bugs/${name}`, "mended"], environment)

const lazy = { CUDA_SIM_STREAM: "lazy" }
const seeds = [1, 2, 3, 4, 5].map((seed) => ({ CUDA_SIM_SEED: String(seed) }))

describe.skipIf(!canBuild)("the CUDA simulator (cuda-sim)", () => {
  beforeAll(async () => {
    await buildBugs("release")
    await buildBugs("sanitize")
  }, 600_000)

  test("names both sides of a race that a missing barrier allows", async () => {
    const { status, output } = await bug("missing_barrier_race")
    expect(output).toContain("ThreadSanitizer: data race")
    expect(output).toMatch(/Write of size 4 .*\n.*reverse.*missing_barrier\.cu:14/)
    expect(output).toMatch(/Previous read of size 4 .*\n.*reverse.*missing_barrier\.cu:16/)
    expect(status).not.toBe(0)
    for (const seed of [{}, ...seeds]) {
      const { status, output } = await mended("missing_barrier_race", seed)
      expect(output).toBe("0 of 64 values are wrong\n")
      expect(status).toBe(0)
    }
  })

  test("gives wrong answers where a barrier is missing, in any order of threads", async () => {
    const answers = await Promise.all(seeds.map((seed) => bug("missing_barrier", seed)))
    expect(answers.every(({ status }) => status === 1)).toBe(true)
    expect((await mended("missing_barrier", seeds[0])).status).toBe(0)
  })

  test("shows a host that does not wait for a lazy stream memory that nobody has written", async () => {
    expect(await bug("missing_wait", lazy)).toMatchObject({ status: 1, output: "The answer is 4294967295\n" })
    expect(await mended("missing_wait", lazy)).toMatchObject({ status: 0, output: "The answer is 42\n" })
  })

  test("ends a kernel that reads past its matrix", async () => {
    expect((await bug("row_too_many")).signal).toBe("SIGSEGV")
    const { status, output } = await bug("row_too_many", {}, "sanitize")
    expect(output).toMatch(/AddressSanitizer[^]*row_too_many\.cu:13/)
    expect(status).not.toBe(0)
    for (const build of ["release", "sanitize"] as const)
      expect((await mended("row_too_many", {}, build)).status).toBe(0)
  })

  test("says which lanes a shuffle waits for in vain, and where", async () => {
    const { signal, output } = await bug("divergent_shuffle")
    expect(output).toContain("cuda_sim: sum_lower_half<false>, block (0, 0, 0): no thread can go on")
    expect(output).toMatch(
      /lanes 0000ffff of warp 0 wait in __shfl_xor_sync, .*divergent_shuffle\.cu:12, for lanes ffff0000/
    )
    expect(signal).toBe("SIGABRT")
    expect(await mended("divergent_shuffle")).toMatchObject({ status: 0, output: "The sum is 120\n" })
  })

  test("says which barrier some threads of a block never come to", async () => {
    const { signal, output } = await bug("divergent_barrier")
    expect(output).toContain("thread 40 has ended, and others wait for it at __syncthreads")
    expect(output).toMatch(/40 of 64 threads wait at __syncthreads, .*divergent_barrier\.cu:12/)
    expect(signal).toBe("SIGABRT")
    expect(await mended("divergent_barrier")).toMatchObject({ status: 0, output: "Copied 7\n" })
  })
})
