// Goal: `plugin check` tells who writes a plugin which promises it breaks, what it costs, and whether it may be relied on.
// Method: the real command on our own plugins and on a planted one, whose options say in what it is wrong.
import { beforeAll, describe, expect, test } from "bun:test"
import { basename, join } from "node:path"
import { type CliResult, model, runAll, runCli } from "./run_cli.ts"

const planted = join(import.meta.dir, "./planted_predictor.ts")

const runs = {
  ours: ["oracle_top_k:k=5"],
  policy: ["single_device", "--kind", "placement"],
  oracle: ["reference", "--json"],
  allocating: [`${planted}:allocates=true`],
  "allocating, as JSON": [`${planted}:allocates=true`, "--json"],
  "for one model": [`${planted}:ffnWidth=1024`, "--model", model, "--json"],
  "for one model, without it": [`${planted}:ffnWidth=1024`],
  "for no model": [`${planted}:ffnWidth=7`, "--model", model],
  "with a wrong option": [`${planted}:alocates=true`],
  unknown: ["no_such_plugin"],
  "of another kind": ["exact_gate", "--kind", "backend"],
  "with a model that is not for it": ["single_device", "--model", model]
}

let results: ReadonlyMap<string, CliResult>
const resultOf = (run: keyof typeof runs): CliResult => results.get(run)!

interface CheckDocument {
  readonly plugin: unknown
  readonly passed: boolean
  readonly checks: ReadonlyArray<{ readonly name: string; readonly passed: boolean; readonly error?: string }>
  readonly figures: ReadonlyArray<{ readonly name: string; readonly value: number; readonly unit: string }>
  readonly error?: unknown
}

const documentOf = (run: keyof typeof runs): CheckDocument => JSON.parse(resultOf(run).stdout) as CheckDocument

beforeAll(async () => {
  results = await runAll(
    Object.entries(runs).map(([name, args]) => [name, () => runCli(["plugin", "check", ...args])] as const)
  )
}, 300_000)

describe("powerinfer plugin check", () => {
  test("prints a line a check and what select costs, and ends with 0 where all pass", () => {
    const { code, stdout, stderr } = resultOf("ours")
    expect(stdout).toContain("✓ oracle_top_k allocates nothing when it selects (gated)\n")
    expect(stdout).not.toContain("✗")
    expect(stdout).toMatch(/^select on ungated: [\d.e-]+ µs a block$/m)
    expect(stdout).toMatch(/^select on ungated allocates: 0 bytes a call$/m)
    expect(stdout).toMatch(/^(\d+) of \1 checks passed in [\d.]+ s$/m)
    expect(stderr).toBe("")
    expect(code).toBe(0)
  })

  test("runs the suite of placement policies on one", () => {
    const { code, stdout } = resultOf("policy")
    expect(stdout).toContain("✓ single_device has a plan for a device too small for everything")
    expect(code).toBe(0)
  })

  test("reports a backend's largest error for each operation and type", () => {
    const { plugin, passed, figures } = documentOf("oracle")
    expect(plugin).toEqual({ kind: "backend", name: "reference", options: {} })
    expect(passed).toBe(true)
    expect(figures).toContainEqual({
      name: "largest error of attend, Q4_K",
      value: 0,
      unit: "standard deviations",
      limit: 0.2
    } as never)
  })

  test("names the check that a broken plugin fails and why, and ends with 8", () => {
    const { code, stdout, stderr } = resultOf("allocating")
    expect(stdout).toMatch(
      /^✗ planted allocates nothing when it selects \(gated\)\n +a call of select allocates 1 objects/m
    )
    expect(stdout.match(/^✗/gm)).toHaveLength(2)
    expect(stderr).toBe(
      "powerinfer: Cannot rely on the predictor planted: 2 of 29 checks of its contract failed; the lines marked ✗ say why\n"
    )
    expect(code).toBe(8)
  })

  test("prints one JSON document with --json, the failure in it", () => {
    const { checks, error, passed } = documentOf("allocating, as JSON")
    expect(passed).toBe(false)
    expect(checks.filter((check) => !check.passed).map(({ name }) => name)).toEqual([
      "planted allocates nothing when it selects (gated)",
      "planted allocates nothing when it selects (ungated)"
    ])
    expect(error).toMatchObject({ tag: "PluginCheckFailed", exit_code: 8 })
    expect(resultOf("allocating, as JSON").code).toBe(8)
  })

  test("checks and measures a predictor that serves one model only on that model", () => {
    const { checks, figures, passed } = documentOf("for one model")
    expect(passed).toBe(true)
    expect(checks.map(({ name }) => name)).toContain(`planted works twice at once (${basename(model)})`)
    expect(figures).toContainEqual({ name: `select on ${basename(model)} names`, value: 1, unit: "neurons a row" })
    const cost = figures.find(({ unit }) => unit === "µs a block")!
    expect(cost.value).toBeGreaterThan(0)
  })

  test("fails the checks of a predictor that cannot be opened", () => {
    const { code, stdout } = resultOf("for one model, without it")
    expect(stdout).toMatch(/✗ planted works twice at once \(gated\)\n.*the model has 75, it needs 1024/)
    expect(code).toBe(8)
  })

  test("ends with 8 where the predictor does not fit the model that it is to be measured on", () => {
    const { code, stderr } = resultOf("for no model")
    expect(stderr).toMatch(/^powerinfer: Cannot open the predictor planted: the model has 1024, it needs 7\n$/)
    expect(code).toBe(8)
  })

  test("ends with 8 on an option that the plugin does not have", () => {
    const { code, stdout, stderr } = resultOf("with a wrong option")
    expect(stderr).toMatch(/^powerinfer: Cannot load the predictor planted: its options are wrong: .*alocates/s)
    expect(stdout).toBe("")
    expect(code).toBe(8)
  })

  test("ends with 8 on a name that is no plugin, and on one of another kind", () => {
    expect(resultOf("unknown")).toMatchObject({ code: 8, stdout: "" })
    expect(resultOf("unknown").stderr).toContain("no_such_plugin")
    expect(resultOf("of another kind")).toMatchObject({ code: 8, stdout: "" })
  })

  test("ends with 2 on --model for a plugin that is no predictor", () => {
    const { code, stderr } = resultOf("with a model that is not for it")
    expect(stderr).toContain("--model is for predictors, single_device is a placement")
    expect(code).toBe(2)
  })
})
