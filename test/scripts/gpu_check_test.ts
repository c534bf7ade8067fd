// Goal: scripts/gpu_check goes through all its steps, says what it found, fails where a step fails, and leaves nothing behind (cuda-sim: no GPU is needed).
// Method: the whole script on the simulator with tiny models; a model that there is not; an interruption; a plan from a file.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nativeBuildCommands, nativeBuildFolder } from "../../scripts/native_build.ts"

const root = join(import.meta.dir, "..", "..")
const canBuild = process.platform === "linux" && Bun.which("cmake") !== null && Bun.which("g++") !== null
const build = join(root, nativeBuildFolder("release"))

const simulated = [
  "powerinfer",
  "powerinfer_hybrid_bench",
  "powerinfer_cuda_simulated",
  "powerinfer_cuda_microbench_simulated"
]

const run = async (...command: ReadonlyArray<string>) => {
  const child = Bun.spawn([...command], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { status: await child.exited, output, errors }
}

interface PlanRow {
  readonly selection: string
  readonly policy: string
  readonly budget_share: number
  readonly refused?: string
  readonly neurons_on_device: number
  readonly tokens_per_s: number
  readonly tokens_compared: number
  readonly tokens_equal: number
  readonly agrees: boolean
  readonly control_shows?: boolean
  readonly device_bytes_per_token: number
  readonly cpu_bytes_per_token: number
  readonly active_share: number
}

interface Report {
  readonly backend: string
  readonly passed: boolean
  readonly steps: ReadonlyArray<{ readonly name: string; readonly status: string; readonly detail: string }>
  readonly micro: { readonly copy_bytes_per_s: number; readonly rows: ReadonlyArray<Record<string, unknown>> }
  readonly hybrid: ReadonlyArray<{ readonly backend: string; readonly plans: ReadonlyArray<PlanRow> }>
  readonly leaks: { readonly leaks: { readonly tokens: number; readonly passes: boolean } } | null
  readonly goals: ReadonlyArray<{ readonly goal: string; readonly met: boolean | null }>
}

/** Step → status. */
const statuses = ({ steps }: Report) => Object.fromEntries(steps.map(({ name, status }) => [name, status]))

describe.skipIf(!canBuild)("scripts/gpu_check (cuda-sim)", () => {
  const folder = mkdtempSync(join(tmpdir(), "powerinfer-gpu-check-test-"))
  const always = ["scripts/gpu_check", "--simulated", "--quick", "--build", build, "--folder", folder]
  const check = (...args: ReadonlyArray<string>) => [...always, ...args]
  const read = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Report
  const goodFile = join(folder, "good.json")
  const badFile = join(folder, "bad.json")
  let good: Awaited<ReturnType<typeof run>>
  let bad: Awaited<ReturnType<typeof run>>

  beforeAll(async () => {
    for (const command of nativeBuildCommands("release", ...simulated)) {
      const { status, output, errors } = await run(...command)
      if (status !== 0) throw new Error(`${command.join(" ")} failed:\n${output}${errors}`)
    }
    good = await run(...check("--out", goodFile))
    bad = await run(...check("--out", badFile, "--only", "decode", "--sizes", "no-such-model:F16"))
  }, 600_000)
  afterAll(() => rmSync(folder, { recursive: true }))

  test("reports every step, and says that it ran on the simulator", () => {
    const report = read(goodFile)
    expect(good.errors).not.toContain("Cannot")
    expect(good.status).toBe(0)
    expect(report).toMatchObject({ schema: 1, backend: "cuda-sim", passed: true })
    expect(report).toHaveProperty("machine.cpu")
    expect(report).toHaveProperty("commit")
    expect(statuses(report)).toEqual({
      tools: "passed",
      build: "passed",
      kernel_tests: "not_run",
      sanitizer_memcheck: "not_run",
      sanitizer_racecheck: "not_run",
      microbench: "passed",
      decode_tiny_F16: "passed",
      leaks: "passed"
    })
    for (const { status, detail } of report.steps) if (status === "not_run") expect(detail).not.toBe("")
  })

  test("measures kernels and hand-offs beside a copy", () => {
    const { copy_bytes_per_s, rows } = read(goodFile).micro
    expect(copy_bytes_per_s).toBeGreaterThan(0)
    const of = (name: string) => rows.filter((row) => row["name"] === name).map(({ type }) => type)
    expect(of("sparse_ffn")).toEqual(["F16", "Q8_0", "Q4_0", "Q4_K"])
    expect(of("multiply")).toEqual(["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"])
    expect(of("attend")).toEqual(["F16", "F32", "Q8_0"])
    for (const name of ["launch", "graph_launch", "hand_over", "hand_off"]) expect(of(name)).toHaveLength(1)
    for (const { seconds } of rows) expect(seconds).toBeGreaterThan(0)
  })

  test("every plan says what the CPU alone says, and would not without the CPU's share", () => {
    const [model] = read(goodFile).hybrid
    expect(model!.backend).toBe("cuda-sim")
    const ran = model!.plans.filter(({ refused }) => refused === undefined)
    const names = new Set(ran.map(({ selection, policy }) => `${selection} ${policy}`))
    for (const selection of ["exact_gate", "low_rank"]) {
      for (const policy of ["all_cpu", "all_gpu", "by_block", "greedy", "makespan"]) {
        expect(names).toContain(`${selection} ${policy}`)
      }
    }
    for (const plan of ran) {
      expect(plan).toMatchObject({ agrees: true, tokens_equal: plan.tokens_compared })
      expect(plan.tokens_compared).toBeGreaterThan(0)
      expect(plan.tokens_per_s).toBeGreaterThan(0)
      expect(plan.active_share).toBeWithin(0.05, 0.15)
      expect(plan.device_bytes_per_token > 0).toBe(plan.policy !== "all_cpu")
      expect(plan.cpu_bytes_per_token > 0).toBe(plan.neurons_on_device < 1)
    }
    const controls = ran.filter(({ control_shows }) => control_shows !== undefined)
    expect(controls.length).toBeGreaterThan(2)
    expect(controls.every(({ control_shows }) => control_shows)).toBe(true)
  })

  test("refuses a budget that does not hold what is no neuron", () => {
    const refused = read(goodFile).hybrid[0]!.plans.filter((plan) => plan.refused !== undefined)
    expect(new Set(refused.map(({ selection, budget_share }) => `${selection} ${budget_share}`))).toEqual(
      new Set(["low_rank 0.25"])
    )
  })

  test("decodes for long without a leak", () => {
    expect(read(goodFile).leaks?.leaks).toMatchObject({ tokens: 30, passes: true })
  })

  test("claims no goal that only a GPU can meet", () => {
    const { goals } = read(goodFile)
    expect(goals.length).toBeGreaterThan(8)
    expect(goals.filter(({ met }) => met !== null)).toEqual([])
  })

  test("a step that fails is in the report, with its words, and in the status", () => {
    expect(bad.status).toBe(1)
    const report = read(badFile)
    expect(report.passed).toBe(false)
    expect(statuses(report)).toMatchObject({ "decode_no-such-model_F16": "failed", leaks: "not_run" })
    expect(report.steps.find(({ status }) => status === "failed")!.detail).toContain("there is no shape no-such-model")
  })

  test("--table prints the report as Markdown", async () => {
    const { status, output } = await run("scripts/gpu_check", "--table", goodFile)
    expect(status).toBe(0)
    expect(output).toContain("backend `cuda-sim` (a simulator: its figures mean nothing)")
    expect(output).toMatch(/\| sparse_ffn \| Q4_K \| [0-9.]+ \| [0-9.]+ \| [0-9.]+% \|/)
    expect(output).toMatch(/\| exact_gate \| greedy \| 50\.0% \| [0-9.]+% \| .* \| 6 of 6 \|/)
    expect(output).toContain("30 tokens without a break")
  })

  test("an interruption leaves nothing behind", async () => {
    const models = mkdtempSync(join(folder, "models-"))
    const command = check("--out", join(models, "never.json"), "--folder", models, "--only", "leaks")
    const child = Bun.spawn(command, { cwd: root, stdio: ["ignore", "pipe", "ignore"] })
    let seen = ""
    for await (const chunk of child.stdout) {
      seen += new TextDecoder().decode(chunk)
      if (seen.includes("── leaks")) break
    }
    child.kill("SIGINT")
    expect(await child.exited).toBe(130)
    expect(readdirSync(models)).toEqual([])
  }, 30_000)

  const hybridBench = (...args: ReadonlyArray<string>) => {
    const model = ["--shape", "tiny", "--type", "Q8_0", "--folder", folder]
    const plugin = join(build, "libpowerinfer_cuda_simulated.so")
    const device = ["--plugin", plugin, "--device-bandwidth", "1e9", "--hand-off", "1e-5"]
    const counts = ["--tokens", "1", "--rounds", "1", "--threads", "1", "--selections", "gate", "--budgets", "1"]
    return [join(build, "powerinfer_hybrid_bench"), ...model, ...device, ...counts, ...args]
  }

  test("powerinfer_hybrid_bench runs a plan from a file, and refuses one that names no neurons of the model", async () => {
    const planFile = join(folder, "plan.txt")
    const bench = (text: string) => {
      writeFileSync(planFile, text)
      return run(...hybridBench("--policies", "greedy", "--plan", `mine=${planFile}`))
    }
    const { output } = await bench("0-127 300 511\n-\n")
    const mine = (JSON.parse(output) as Report["hybrid"][number]).plans.find(({ policy }) => policy === "mine")!
    expect(mine.neurons_on_device).toBeCloseTo(130 / 1024, 5)
    expect(mine.agrees).toBe(true)
    for (const [text, words] of [
      ["0-127\n512\n", "line 2: 512 names neurons that the model does not have"],
      ["5-x\n-\n", "line 1: 5-x is no range of neurons"],
      ["5-9\n", "line 2: there is none; the model has 2 blocks"]
    ] as const) {
      const { status, errors } = await bench(text)
      expect(errors).toContain(words)
      expect(status).toBe(2)
    }
  }, 60_000)

  test("powerinfer_hybrid_bench refuses plans that the device has no room for, and those that are the same", async () => {
    const { status, output } = await run(
      "env",
      "CUDA_SIM_MEMORY=500000",
      ...hybridBench("--policies", "by_block,greedy")
    )
    expect(status).toBe(0)
    const { plans } = JSON.parse(output) as Report["hybrid"][number]
    expect(plans.map(({ policy, refused }) => `${policy} ${refused === undefined}`)).toEqual([
      "all_cpu true",
      "all_gpu false",
      "by_block false",
      "greedy false"
    ])
    expect(plans.at(-1)!.refused).toContain("are free")
  }, 60_000)
})
