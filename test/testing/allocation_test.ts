// Goal: what a function allocates is measured right: one small object a call is seen, and who allocates nothing is never accused.
// Method: functions that allocate known amounts, here and under Node, whose V8 is measured in another way.
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { measureAllocation, measuresAllocation, measureSelector } from "@powerinfer/core/testing"

const values = new Float32Array(300)
const words = new Uint32Array(100)
const kept: { last?: unknown } = {}

const innocent: ReadonlyArray<readonly [what: string, run: () => void]> = [
  ["does nothing", () => {}],
  [
    "computes",
    () => {
      let sum = 0
      for (let i = 0; i < values.length; i++) sum += values[i]! * 0.5
      words[0] = sum
    }
  ],
  [
    "iterates over a typed array",
    () => {
      for (const value of values) words[1] = value
    }
  ],
  ["fills", () => void words.fill(7, 0, 50)]
]

const guilty: ReadonlyArray<readonly [what: string, objects: number, bytes: number, run: () => void]> = [
  ["one object", 1, 16, () => void (kept.last = { rows: words[0] })],
  ["one object in every fourth call", 1 / 4, 4, () => void (words[9]!++ % 4 === 0 && (kept.last = {}))],
  ["a view", 1, 32, () => void (kept.last = values.subarray(1, 9))],
  ["a copy of 300 numbers", 1, 1200, () => void (kept.last = values.slice())],
  ["a closure and what it closes over", 2, 32, () => void (kept.last = [0].map((zero) => zero + words[0]!))],
  ["more than is ever left uncollected", 1, 16, () => void (kept.last = Array.from({ length: 1e5 }, (_, i) => ({ i })))]
]

describe("measureAllocation()", () => {
  for (const [what, run] of innocent) {
    test(`finds nothing where a function ${what}, five times out of five`, () => {
      for (let time = 0; time < 5; time++) expect(measureAllocation(run)).toEqual({ objects: 0, bytes: 0 })
    }, 30_000)
  }

  for (const [what, objects, bytes, run] of guilty) {
    test(`finds ${what}`, () => {
      const measured = measureAllocation(run)!
      expect(measured.objects).toBeGreaterThan(0.9 * objects)
      expect(measured.bytes).toBeGreaterThanOrEqual(0.9 * bytes)
    }, 30_000)
  }

  test("says that it can measure here", () => expect(measuresAllocation()).toBe(true))
})

test("measureSelector() says that a selector which proposes every neuron costs nothing: it is never called", () => {
  const never = () => {
    throw new Error("called")
  }
  const selector = { proposes: "every", confirms: true, exact: true, select: never } as const
  const model = { shape: { blockCount: 2, ffnWidth: 8 } } as Parameters<typeof measureSelector>[0]["model"]
  expect(measureSelector({ selector, model, rows: never })).toEqual({
    nanosecondsPerCall: 0,
    nanosecondsAtBest: 0,
    nanosecondsByBlock: [0, 0],
    bytesPerCall: 0,
    neuronsPerRow: 8
  })
})

const node = Bun.which("node") ?? ""
const allocationModule = join(import.meta.dir, "../../core/testing/allocation.ts")

/** Types stripped, so that any Node runs it. */
const underNode = async (body: string): Promise<unknown> => {
  const source = await new Bun.Transpiler({ loader: "ts" }).transform(await Bun.file(allocationModule).text())
  const program = `${source}
    const values = new Float32Array(300), words = new Uint32Array(100), kept = {}
    console.log(JSON.stringify(measureAllocation(${body})))`
  const { stdout, stderr } = Bun.spawnSync([node, "--input-type=module", "-e", program])
  expect(stderr.toString()).toBe("")
  return JSON.parse(stdout.toString())
}

describe.skipIf(node === "")("measureAllocation() on V8", () => {
  test("finds nothing where nothing is allocated", async () => {
    expect(await underNode("() => { for (let i = 0; i < 300; i++) words[1] = values[i] * 2 }")).toEqual({ bytes: 0 })
    expect(await underNode("() => {}")).toEqual({ bytes: 0 })
  }, 30_000)

  test("finds one small object a call, and large ones", async () => {
    const small = (await underNode("() => { kept.last = { rows: words[0] } }")) as { bytes: number }
    expect(small.bytes).toBeWithin(16, 200)
    const large = (await underNode("() => { kept.last = Array.from({ length: 2000 }, (_, i) => ({ i })) }")) as {
      bytes: number
    }
    expect(large.bytes).toBeGreaterThan(20_000)
  }, 30_000)
})
