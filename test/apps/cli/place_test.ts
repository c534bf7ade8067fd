// Goal: `powerinfer place` makes plans for this machine and for others, says what they bring, draws them, and what it writes can be used.
// Method: the real command on a tiny model with a profile; its JSON beside the plan that it wrote, and the plan opened by `generate`.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { locateLibrary, openModel, type PlacedModel, planFile, readDeviceFile } from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { placementPieces } from "../../../apps/cli/pictures/placement_picture.ts"
import { writeProfile } from "../../support/placements.ts"
import { has } from "../../support/plans.ts"
import { type CliResult, runAll, runCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-place-"))
const inFolder = (name: string) => join(folder, name)
const model = inFolder("tiny.gguf")
const profile = inFolder("profile.json")
afterAll(() => rmSync(folder, { recursive: true }))

/** The first has room for a workspace of 236 kB and half of the neurons, not for what a home holds. */
const devices = {
  devices: [
    { name: "graphics", backend: "cuda", memory_bytes: 256_000, bandwidth_bytes_per_s: 1e12, hand_off_s: 1e-9 },
    { name: "processor", backend: "cpu", memory_bytes: "1 GB", bandwidth_bytes_per_s: 4e10 }
  ]
}

const place = (...args: ReadonlyArray<string>) => runCli(["place", model, ...args])
const elsewhere = ["--devices", inFolder("devices.json"), "--profile", profile]
const runs = {
  absent: () => place(...elsewhere, "--out", inFolder("absent.json"), "--svg", inFolder("absent.svg"), "--json"),
  absentText: () => place(...elsewhere, "--policy", "greedy"),
  here: () =>
    place("--profile", profile, "--out", inFolder("here.json"), "--json", "--save-devices", inFolder("saved.json")),
  quick: () => place("--no-calibrate", "--json", "--policy", "greedy", "--backend", "cpu:threads=1"),
  stale: () => runCli(["place", inFolder("other.gguf"), ...elsewhere]),
  mistyped: () => place("--devices", inFolder("mistyped.json")),
  small: () => place("--devices", inFolder("small.json")),
  devices: () => runCli(["devices", "--json"])
} as const

let results: ReadonlyMap<keyof typeof runs, CliResult>
const resultOf = (run: keyof typeof runs) => results.get(run)!
const jsonOf = (run: keyof typeof runs) => JSON.parse(resultOf(run).stdout)

beforeAll(async () => {
  await Effect.runPromise(locateLibrary())
  await Effect.gen(function* () {
    yield* writeTinyModel(model, { family: "llama", seed: 3, type: "Q8_0", activation: "relu" })
    yield* writeTinyModel(inFolder("other.gguf"), { family: "llama", seed: 4, type: "Q8_0", activation: "relu" })
    yield* writeProfile(folder, yield* openModel(model))
  }).pipe(Effect.runPromise)
  writeFileSync(inFolder("devices.json"), JSON.stringify(devices))
  writeFileSync(inFolder("mistyped.json"), JSON.stringify({ devices: [{ name: "a", memory: 1 }] }))
  writeFileSync(inFolder("small.json"), JSON.stringify({ devices: [{ name: "a", memory_bytes: 10 }] }))
  results = await runAll(Object.entries(runs) as Array<[keyof typeof runs, () => Promise<CliResult>]>)
}, 600_000)

const makespan = has("placement", "makespan")
const greedy = has("placement", "greedy")

describe.skipIf(!makespan)("powerinfer place, by its default policy", () => {
  test("writes a plan for devices that are not here, and says so", async () => {
    const { code, stderr } = resultOf("absent")
    expect(code, stderr).toBe(0)
    const json = jsonOf("absent")
    const plan = await Effect.runPromise(
      planFile.read(inFolder("absent.json"), await Effect.runPromise(openModel(model)))
    )
    expect(json.devices_present).toBe(false)
    expect(plan.devicesPresent).toBe(false)
    expect(plan.devices.map(({ backend }) => backend)).toEqual(["cuda", "cpu"])
    expect(json.prediction.tokens_per_s).toBe(plan.prediction!.tokensPerSecond)
    expect(plan.policy.options).toMatchObject({ proposes: "every", confirms: true, profile })
    expect(plan.profile!.tokenCount).toBe(384)
    for (const device of json.devices) {
      expect(device.neuron_bytes + device.other_bytes).toBeLessThanOrEqual(device.memory_bytes)
    }
    // Faster than the one device that has room for everything.
    const alone = json.alone.find((one: { readonly fits: boolean }) => one.fits)
    expect(json.prediction.tokens_per_s).toBeGreaterThan(alone.tokens_per_s)
  })

  test("draws who lives where", () => {
    const svg = readFileSync(inFolder("absent.svg"), "utf8")
    expect(svg).toStartWith("<svg ")
    expect(svg).toContain("graphics")
    expect(svg).toContain("processor, home")
  })

  test.skipIf(!has("backend", "cpu"))("measures this machine, and predicts with what it measured", async () => {
    const { code, stderr } = resultOf("here")
    expect(code, stderr).toBe(0)
    const json = jsonOf("here")
    expect(json.devices_present).toBe(true)
    expect(json.prediction.seconds.overhead).toBeGreaterThan(0)
    const [saved] = await Effect.runPromise(readDeviceFile(inFolder("saved.json")))
    expect(saved!.bandwidthBytesPerSecond).toBe(json.devices[0].bandwidth_bytes_per_s)
    expect(saved!.tokenOverheadSeconds).toBe(json.prediction.seconds.overhead)
  })

  test.skipIf(!has("placement", "plan_file") || !has("backend", "cpu"))(
    "writes plans that generate opens",
    async () => {
      const args = ["generate", model, "And", "--max-tokens", "3", "--temperature", "0", "--seed", "1"]
      const planOf = (name: string) => ["--placement", `plan_file:file=${inFolder(name)}`]
      const generated = await runAll([
        ["plain", () => runCli(args)],
        ["planned", () => runCli([...args, ...planOf("here.json")])],
        ["elsewhere", () => runCli([...args, ...planOf("absent.json")])]
      ])
      const planned = generated.get("planned")!
      expect(planned.code, planned.stderr).toBe(0)
      expect(planned.stdout).toBe(generated.get("plain")!.stdout)
      expect(generated.get("elsewhere")!.code).toBe(8)
      expect(generated.get("elsewhere")!.stderr).toContain("made for the devices cuda, cpu")
    },
    120_000
  )

  test("refuses a profile of another model, a mistyped device file, and devices that are too small", () => {
    expect(resultOf("stale").code).toBe(10)
    expect(resultOf("stale").stderr).toContain("activation profile")
    expect(resultOf("mistyped").code).toBe(10)
    expect(resultOf("mistyped").stderr).toContain("mistyped.json")
    expect(resultOf("small").code).toBe(8)
    expect(resultOf("small").stderr).toContain("no device has so much")
  })
})

describe.skipIf(!greedy)("powerinfer place --policy greedy", () => {
  test("prints who holds how much, and what it is compared with", () => {
    const { code, stdout, stderr } = resultOf("absentText")
    expect(code, stderr).toBe(0)
    expect(stdout).toContain("| graphics ")
    expect(stdout).toContain("These devices are not here")
    expect(stdout).toContain("predicted decode:")
    expect(stdout).toContain("everything on processor:")
    expect(stdout).toContain("real speeds are lower")
  })

  test.skipIf(!has("backend", "cpu"))("measures no more than memory with --no-calibrate", () => {
    const { code, stderr } = resultOf("quick")
    expect(code, stderr).toBe(0)
    const [device] = jsonOf("quick").devices
    expect(device.bandwidth_bytes_per_s).toBeGreaterThan(1e8)
    expect(device.token_overhead_s).toBeUndefined()
  })
})

test("powerinfer devices --json prints a device file", async () => {
  writeFileSync(inFolder("printed.json"), resultOf("devices").stdout)
  const [device] = await Effect.runPromise(readDeviceFile(inFolder("printed.json")))
  expect(device!.name).toBe("cpu")
  expect(device!.bandwidthBytesPerSecond).toBeGreaterThan(0)
})

describe("placementPieces()", () => {
  const placed = (owners: ReadonlyArray<Uint8Array>) => {
    const frequencies = owners.map((block) => Float64Array.from(block.keys(), (neuron) => neuron / block.length))
    const file = { devices: [{ name: "a" }, { name: "b" }] }
    return { owners, frequencies, file } as unknown as PlacedModel
  }

  test("joins neighbours of one device, by id or by frequency", () => {
    const owners = [Uint8Array.of(0, 0, 1, 1)]
    const ids = placementPieces(placed(owners), "id").map(({ device, from, to }) => [device, from, to])
    expect(ids).toEqual([
      [0, 0, 0.5],
      [1, 0.5, 1]
    ])
    // The last ones fire most often.
    const hottest = placementPieces(placed(owners), "frequency").map(({ device, from, to }) => [device, from, to])
    expect(hottest).toEqual([
      [1, 0, 0.5],
      [0, 0.5, 1]
    ])
  })

  test("covers every block once, however many neurons share a column", () => {
    const owners = [0, 1, 2].map((block) => Uint8Array.from({ length: 5000 }, (_, neuron) => (neuron * 7 + block) % 2))
    const area = (block: number) =>
      placementPieces(placed(owners), "id")
        .filter((piece) => piece.block === block)
        .reduce((sum, { from, to, low, high }) => sum + (to - from) * (high - low), 0)
    for (const block of owners.keys()) expect(area(block)).toBeCloseTo(1, 9)
  })
})
