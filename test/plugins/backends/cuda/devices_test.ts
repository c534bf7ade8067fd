// Goal: the CUDA backend says which devices there are, how fast they are, and why there are none.
// Method: the simulator through `powerinfer devices`, each time in a process of its own, because it reads its environment once.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { root, runCli } from "../../../apps/cli/run_cli.ts"
import { hasSimulator } from "../../../support/simulator.ts"

const cache = mkdtempSync(join(tmpdir(), "powerinfer-devices-"))
afterAll(() => rmSync(cache, { recursive: true }))

const simulated = "cuda:simulated=true"
const devices = async (environment: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => {
  const run = await runCli(["devices", "--json", "--backend", simulated, ...args], "", {
    XDG_CACHE_HOME: cache,
    ...environment
  })
  expect(run.code).toBe(0)
  return JSON.parse(run.stdout) as {
    readonly devices: ReadonlyArray<Readonly<Record<string, unknown>>>
    readonly absent: ReadonlyArray<{ readonly backend: string; readonly reason: string }>
  }
}

describe.skipIf(!hasSimulator)("powerinfer devices --backend cuda:simulated=true", () => {
  test("names every device with its memory, and speeds that were measured once", async () => {
    const said = await devices({ CUDA_SIM_DEVICES: "2", CUDA_SIM_MEMORY: String(2 ** 30) })
    const [cpu, first, second] = said.devices
    expect(cpu).toMatchObject({ name: "cpu" })
    expect(first).toMatchObject({ runs_with: simulated, memory_available_bytes: 2 ** 30 })
    expect(first!["memory_bytes"]).toBe(2 ** 30 - 2 ** 28)
    expect(first!["bandwidth_bytes_per_s"]).toBeGreaterThan(1e6)
    expect(first!["hand_off_s"]).toBeGreaterThan(0)
    expect(second).toMatchObject({ runs_with: `${simulated},device=1` })

    const again = await devices({})
    const speeds = (device: Readonly<Record<string, unknown>> | undefined) =>
      [device!["bandwidth_bytes_per_s"], device!["hand_off_s"]] as const
    expect(speeds(again.devices[1])).toEqual(speeds(second))
    expect(speeds((await devices({}, "--measure-again")).devices[1])).not.toEqual(speeds(second))
  }, 60_000)

  test("tells powerinfer place how fast they are", async () => {
    const path = join(root, "test/golden/families/llama-gqa-relu.gguf")
    const args = ["place", path, "--policy", "auto", "--json", "--no-calibrate", "--ctx", "64", "--batch", "4"]
    const budget = `${simulated},vramBudget=900kB`
    const placed = await runCli([...args, "--backend", budget, "--backend", "cpu"], "", { XDG_CACHE_HOME: cache })
    expect(placed.code).toBe(0)
    const [gpu, cpu] = JSON.parse(placed.stdout).devices
    const measured = (await devices({})).devices
    expect(gpu).toMatchObject({ name: measured[1]!["name"], memory_bytes: 900_000 })
    expect(gpu.bandwidth_bytes_per_s).toBe(measured[1]!["bandwidth_bytes_per_s"])
    expect(cpu.bandwidth_bytes_per_s).toBe(measured[0]!["bandwidth_bytes_per_s"])
  }, 60_000)

  for (const [what, environment, words] of [
    ["no driver", { CUDA_SIM_DRIVER: "0" }, "install an NVIDIA driver, or a newer one"],
    ["too old a driver", { CUDA_SIM_DRIVER: "11080" }, "install an NVIDIA driver, or a newer one"],
    ["too old a device", { CUDA_SIM_CAPABILITY: "75" }, "8.0 is needed"],
    ["no device", { CUDA_SIM_DEVICES: "0" }, "check what nvidia-smi and CUDA_VISIBLE_DEVICES say"]
  ] as const) {
    test(`says why there is none: ${what}`, async () => {
      const said = await devices(environment)
      expect(said.devices).toHaveLength(1)
      expect(said.absent).toEqual([{ backend: "cuda", reason: expect.stringContaining(words) }])
    }, 60_000)
  }
})

test("powerinfer devices says where no library is installed, and builds none", async () => {
  const environment = { XDG_CACHE_HOME: cache, POWERINFER_CUDA_LIBRARY: join(cache, "none.so") }
  const { code, stdout } = await runCli(["devices"], "", environment)
  expect(code).toBe(0)
  expect(stdout).toContain("cuda: ")
  expect(stdout).toContain("there is no such file")
}, 60_000)
