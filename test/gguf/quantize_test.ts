// Goal: encodings are ggml's where we promise that, and close to the weights everywhere.
// Method: bytes against gguf-py's; errors against the step between two neighbouring codes.
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { dequantize } from "../../core/gguf/dequantize.ts"
import { quantizableTypes, quantize, type QuantizableTypeName } from "../../core/gguf/quantize.ts"
import { randomFrom } from "./fixture.ts"

const golden: { readonly weights: string; readonly quantized: Record<string, string> } = JSON.parse(
  readFileSync(`${import.meta.dir}/../golden/gguf/blocks.json`, "utf8")
)
const decoded = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"))
const roundTrip = (type: QuantizableTypeName, values: Float32Array): Float32Array => {
  const out = new Float32Array(values.length)
  dequantize(type, quantize(type, values), out)
  return out
}

describe("quantize", () => {
  const weights = new Float32Array(decoded(golden.weights).buffer)
  for (const [type, bytes] of Object.entries(golden.quantized)) {
    test(`${type} writes the bytes that gguf-py writes`, () => {
      expect(quantize(type as QuantizableTypeName, weights)).toEqual(decoded(bytes))
    })
  }

  // Half a step, plus the rounding of scales: relative to the largest of 256 weights, all uniform in −1 … 1.
  const errorMax = {
    F32: 0,
    F16: 2 ** -11,
    BF16: 2 ** -8,
    Q8_0: 0.6 / 127,
    Q4_0: 1.1 / 8,
    Q4_K: 0.6 / 7.5 + 1 / 63,
    Q6_K: 1.1 / 32
  }
  for (const type of quantizableTypes) {
    test(`${type} stays within a step of the weights (seed 7)`, () => {
      const random = randomFrom(7)
      const values = Float32Array.from({ length: 4096 }, () => 2 * random() - 1)
      const found = roundTrip(type, values)
      expect(Math.max(...values.map((value, i) => Math.abs(value - found[i]!)))).toBeLessThanOrEqual(errorMax[type])
    })

    test(`${type} keeps zeros, and blocks of one sign`, () => {
      expect(roundTrip(type, new Float32Array(256)).every((value) => value === 0)).toBe(true)
      for (const value of [0.75, -0.75]) {
        const found = roundTrip(type, new Float32Array(256).fill(value))
        expect(Math.max(...found.map((each) => Math.abs(each - value)))).toBeLessThanOrEqual(errorMax[type])
      }
    })
  }

  test("refuses values that are not whole blocks", () => {
    expect(() => quantize("Q8_0", new Float32Array(33))).toThrow(RangeError)
  })
})
