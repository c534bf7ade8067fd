// Goal: 16-bit floats widen exactly and narrow to the nearest, ties to even.
// Method: widening against the definition of the format for all 65,536 patterns; narrowing against the two neighbours.
import { expect, test } from "bun:test"
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../../core/gguf/float16.ts"
import { randomFrom } from "./fixture.ts"

/** IEEE 754, in words: sign · 2^(exponent − bias) · 1.fraction, or 0.fraction at the lowest exponent. */
const valueOf = (bits: number, exponentBits: number, fractionBits: number): number => {
  const sign = bits >> 15 ? -1 : 1
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1)
  const fraction = (bits % 2 ** fractionBits) / 2 ** fractionBits
  const bias = 2 ** (exponentBits - 1) - 1
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias)
}

const formats = [
  { name: "f16", widen: f16ToF32, narrow: f32ToF16, exponentBits: 5, fractionBits: 10 },
  { name: "bf16", widen: bf16ToF32, narrow: f32ToBf16, exponentBits: 8, fractionBits: 7 }
]
for (const { name, widen, narrow, exponentBits, fractionBits } of formats) {
  test(`${name} widens every pattern to its value and narrows back to itself`, () => {
    for (let bits = 0; bits < 65_536; bits++) {
      const value = valueOf(bits, exponentBits, fractionBits)
      if (!Object.is(widen(bits), value))
        throw new Error(`${name} 0x${bits.toString(16)} is ${value}, not ${widen(bits)}`)
      if (!Number.isNaN(value) && narrow(value) !== bits) throw new Error(`${value} is 0x${bits.toString(16)}`)
      if (Number.isNaN(value) && !Number.isNaN(widen(narrow(value)))) throw new Error("NaN is lost")
    }
  })

  test(`${name} narrows what lies between two patterns to the nearer, ties to the even one`, () => {
    const largest = ((2 ** exponentBits - 1) << fractionBits) - 1
    for (let bits = 0; bits < largest; bits++) {
      const [low, high] = [widen(bits), widen(bits + 1)]
      const middle = (low + high) / 2
      const even = bits % 2 === 0 ? bits : bits + 1
      // float32 cannot express the middle of bf16's lowest neighbours more finely than this.
      const nudge = Math.max((high - low) / 64, 2 ** -149)
      const found = [narrow(middle - nudge), narrow(middle), narrow(middle + nudge), narrow(-middle)]
      const wanted = [bits, even, bits + 1, even + 0x8000]
      if (found.some((each, i) => each !== wanted[i])) throw new Error(`${middle}: ${found}, not ${wanted}`)
    }
  })
}

test("f32ToF16() overflows to infinity from the middle between 65504 and 65536 on", () => {
  expect(f32ToF16(65_519.996)).toBe(0x7bff)
  expect(f32ToF16(65_520)).toBe(0x7c00)
  expect(f32ToF16(-3e38)).toBe(0xfc00)
})

test("f32ToF16() agrees with the runtime's own binary16 on 100,000 bit patterns (seed 1)", () => {
  const random = randomFrom(1)
  const bits = new Uint32Array(1)
  const value = new Float32Array(bits.buffer)
  const runtime = new DataView(new ArrayBuffer(2))
  for (let i = 0; i < 100_000; i++) {
    bits[0] = random() * 2 ** 32
    if (Number.isNaN(value[0]!)) continue
    runtime.setFloat16(0, value[0]!)
    if (f32ToF16(value[0]!) !== runtime.getUint16(0)) throw new Error(`${value[0]}`)
  }
})
