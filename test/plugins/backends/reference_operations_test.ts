// Goal: the reference backend's operations are their definitions.
// Method: values that can be computed by hand or are known to many digits.
import { expect, test } from "bun:test"
import { activate } from "../../../plugins/backends/reference/activation.ts"
import { allocateCache, attendHead, storePosition } from "../../../plugins/backends/reference/kv_cache.ts"
import { applyNorm } from "../../../plugins/backends/reference/norm.ts"
import { rotate } from "../../../plugins/backends/reference/rotate.ts"

test("activate keeps NaN visible in every activation", () => {
  for (const apply of Object.values(activate)) expect(apply(Number.NaN)).toBeNaN()
})

test("activate has the known values of relu, relu², silu and gelu", () => {
  expect([-1, 0, 2].map(activate.relu)).toEqual([0, 0, 2])
  expect([-1, 0, 3].map(activate.relu_squared)).toEqual([0, 0, 9])
  expect(activate.silu(1)).toBeCloseTo(0.7310585786300049, 15)
  // Φ(1), Φ(−2), Φ(4) to 16 digits.
  expect(activate.gelu(1)).toBeCloseTo(0.8413447460685429, 14)
  expect(activate.gelu(-2)).toBeCloseTo(-2 * 0.022750131948179195, 14)
  expect(activate.gelu(4)).toBeCloseTo(4 * 0.9999683287581669, 14)
  expect([activate.gelu(40), Math.abs(activate.gelu(-40))]).toEqual([40, 0])
})

test("applyNorm() divides by the root mean square, or centres and divides by the deviation", () => {
  const out = new Float32Array(2)
  const weight = Float32Array.of(1, 2)
  applyNorm({ kind: "rms", epsilon: 0, weight, bias: undefined }, Float32Array.of(9, 3, 4), 1, out, 0)
  expect([...out]).toEqual([3, 8].map((x) => Math.fround(x / Math.sqrt(12.5))))
  applyNorm({ kind: "layer", epsilon: 0, weight, bias: Float32Array.of(0, 10) }, Float32Array.of(3, 5), 0, out, 0)
  expect([...out]).toEqual([-1, 12])
  applyNorm({ kind: "rms", epsilon: 15, weight, bias: undefined }, Float32Array.of(1, 1), 0, out, 0)
  expect([...out]).toEqual([0.25, 0.5])
})

const expectClose = (actual: Float32Array, expected: ReadonlyArray<number>) => {
  for (const [i, value] of expected.entries()) expect(actual[i]!).toBeCloseTo(value, 6)
}

test("rotate() turns neighbours, or halves, and leaves what lies beyond the rotated width", () => {
  const quarter = Float32Array.of(Math.PI / 2, Math.PI)
  const pairs = Float32Array.of(1, 2, 3, 4, 5)
  rotate(pairs, 0, 1, quarter, "interleaved")
  expectClose(pairs, [-2, 1, -3, -4, 5])
  const halves = Float32Array.of(1, 2, 3, 4, 5)
  rotate(halves, 0, 1, quarter, "halves")
  expectClose(halves, [-3, -2, 1, -4, 5])
})

test("storePosition() rounds to F16 only where the cache is F16", () => {
  for (const [type, stored] of [
    ["f32", Math.fround(0.1)],
    ["f16", 0.0999755859375]
  ] as const) {
    const { keys } = allocateCache(1, 2, 1, type)
    storePosition(keys[0]!, type, 1, Float32Array.of(7, 0.1), 1, 1)
    expect([...keys[0]!]).toEqual([0, stored])
  }
})

test("storePosition() rounds to the 8-bit codes of blocks of 32 where the cache is Q8_0", () => {
  const { values } = allocateCache(1, 2, 64, "q8_0")
  const from = Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? i - 16 : (i - 32) / 1000))
  storePosition(values[0]!, "q8_0", 1, from, 0, 64)
  expect([...values[0]!.subarray(0, 64)]).toEqual(Array.from({ length: 64 }, () => 0))
  for (const [i, value] of from.entries()) {
    const largest = i < 32 ? 16 : 0.031
    const error = Math.abs(values[0]![64 + i]! - value)
    // Half a code, and the rounding of the scale to F16 in up to 127 of them.
    expect(error).toBeLessThanOrEqual(largest / 127 / 2 + largest * 2 ** -11)
  }
  expect(values[0]![64 + 31]).not.toBe(from[31])
})

test("attendHead() weighs values by the softmax of scaled scores", () => {
  const out = new Float32Array(4)
  const kv = {
    keys: Float32Array.of(0, 0, 1, 0, 9, 9),
    values: Float32Array.of(1, 2, 3, 4, 9, 9),
    kvWidth: 2,
    headAt: 0
  }
  const q = Float32Array.of(Math.SQRT2 * Math.log(3), 0)
  attendHead({ q, at: 0, width: 2 }, kv, 2, new Float64Array(2), out, 1)
  // Scores 0 and ln 3: weights 1/4 and 3/4. The third position is in the future.
  for (const [i, value] of [0, 2.5, 3.5, 0].entries()) expect(out[i]!).toBeCloseTo(value, 6)
})
