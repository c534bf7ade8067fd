// Goal: device files mean what people write, mistakes are named, and the examples are right.
// Method: files of a few lines in a temporary folder; the examples beside figures of the paper.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { deviceEntry, parseBytes, readDeviceFile } from "@powerinfer/core"
import { Effect } from "effect"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-devices-"))
const path = join(folder, "devices.json")
afterAll(() => rmSync(folder, { recursive: true }))

const read = (text: string) => {
  writeFileSync(path, text)
  return Effect.runPromise(Effect.result(readDeviceFile(path)))
}
const refusal = async (text: string) => {
  const result = await read(text)
  return result._tag === "Failure" ? result.failure.message : "devices"
}

test("parseBytes() knows decimal and binary units", () => {
  expect(["24 GiB", "24GB", "1.5 MiB", "7 B"].map(parseBytes)).toEqual([24 * 2 ** 30, 24e9, 1.5 * 2 ** 20, 7])
  expect(["24 gigs", "GB", "-1 GB", "1 Gib"].map(parseBytes)).toEqual([undefined, undefined, undefined, undefined])
})

describe("readDeviceFile()", () => {
  test("reads sizes as numbers and as text, and leaves out what is not there", async () => {
    const one = { name: "one", memory_bytes: 5, bandwidth_bytes_per_s: 1e9, neuron_overhead_s: 1e-7 }
    const two = { name: "two", backend: "cpu", memory_bytes: "2 kB", hand_off_s: 1e-5, token_overhead_s: 1e-4 }
    const result = await read(JSON.stringify({ devices: [one, two] }))
    expect(result._tag === "Success" && result.success).toEqual([
      { name: "one", memoryBytes: 5, bandwidthBytesPerSecond: 1e9, neuronOverheadSeconds: 1e-7 },
      { name: "two", backend: "cpu", memoryBytes: 2000, handOffSeconds: 1e-5, tokenOverheadSeconds: 1e-4 }
    ])
    const entries = result._tag === "Success" ? result.success.map(deviceEntry) : []
    expect(entries).toEqual([one, { ...two, memory_bytes: 2000 }])
  })

  test("refuses mistakes and names them", async () => {
    expect(await refusal("{")).toContain("it is no JSON")
    expect(await refusal(`{"devices": []}`)).toContain("devices")
    expect(await refusal(`{"devices": [{"name": "a"}]}`)).toContain("memory_bytes")
    expect(await refusal(`{"devices": [{"name": "a", "memory_bytes": "much"}]}`)).toContain("memory_bytes")
    expect(await refusal(`{"devices": [{"name": "a", "memory_bytes": 1, "bandwith": 2}]}`)).toContain("bandwith")
    const gone = await Effect.runPromise(Effect.result(readDeviceFile(join(folder, "none.json"))))
    expect(gone._tag === "Failure" && gone.failure.message).toContain("powerinfer devices --json")
  })

  for (const [file, memory, bandwidths] of [
    ["rtx4090", [24e9, 192e9], [1008e9, 67.2e9]],
    ["rtx2080ti", [11e9, 64e9], [616e9, 38.4e9]]
  ] as const) {
    test(`reads examples/devices/${file}.json, with the figures of the paper's machine`, async () => {
      const devices = await Effect.runPromise(readDeviceFile(`examples/devices/${file}.json`))
      expect(devices.map(({ memoryBytes }) => memoryBytes)).toEqual([...memory])
      expect(devices.map(({ bandwidthBytesPerSecond }) => bandwidthBytesPerSecond)).toEqual([...bandwidths])
      for (const { handOffSeconds } of devices) expect(handOffSeconds).toBe(20e-6)
    })
  }
})
