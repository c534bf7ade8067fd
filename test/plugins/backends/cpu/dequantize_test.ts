// Goal: the C++ half and the TypeScript half agree on what the bytes of every tensor type stand for.
// Method: seeded random blocks, every bit pattern of scales included, decoded by both and compared bit for bit.
import { afterAll, describe, expect, test } from "bun:test"
import { dequantize, loadPowerinfer, type TensorTypeName, tensorTypes } from "@powerinfer/core"
import { Effect, Exit, Scope } from "effect"
import { randomFromSeed } from "../../../../core/sampler/random.ts"

const scope = Scope.makeUnsafe()
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
const native = await Effect.runPromise(
  Scope.provide(
    loadPowerinfer({ powerinfer_dequantize: { args: ["u32", "buf", "u32", "buf", "u32"], ret: "i32" } }),
    scope
  )
)

/** The bits of each weight. NaN is one value: runtimes are free in its payload. */
const bitsOf = (weights: Float32Array): Uint32Array => {
  const bits = new Uint32Array(weights.buffer, weights.byteOffset, weights.length)
  return bits.map((word, i) => (Number.isNaN(weights[i]) ? 0x7fc00000 : word))
}

const blockCount = 2000

describe("powerinfer_dequantize", () => {
  for (const [seed, { name, id, blockSize, blockBytes }] of Object.values(tensorTypes).entries()) {
    test(`decodes ${name} as dequantize() does, bit for bit (seed ${seed})`, () => {
      const random = randomFromSeed(seed)
      const blocks = Uint8Array.from({ length: blockCount * blockBytes }, () => random.nextU32() >>> 24)
      const count = blockCount * blockSize
      const expected = new Float32Array(count)
      dequantize(name as TensorTypeName, blocks, expected)
      const actual = new Float32Array(count)
      native.check(
        "powerinfer_dequantize",
        native.symbols.powerinfer_dequantize(id, blocks, blocks.length, actual, count)
      )
      expect(bitsOf(actual)).toEqual(bitsOf(expected))
    })
  }

  test("refuses bytes that are not whole blocks, with a reason", () => {
    const status = native.symbols.powerinfer_dequantize(8, new Uint8Array(33), 33, new Float32Array(32), 32)
    expect(native.failed("powerinfer_dequantize", status).message).toMatch(
      /^Cannot .*: .* \(powerinfer_dequantize returned -1\)$/
    )
  })
})
