// Goal: every block format means exactly what ggml says it means.
// Method: random blocks with all kinds of scales against the values gguf-py computed (golden/gguf/make_golden.py), bit
// for bit; and, so that a format can be followed by eye, single weights worked out by hand.
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { dequantize } from "../../core/gguf/dequantize.ts"
import { f32ToF16 } from "../../core/gguf/float16.ts"
import { type TensorTypeName, tensorTypes } from "../../core/gguf/tensor_type.ts"
import { f32, u16 } from "./fixture.ts"

const golden: { readonly blocks: Record<string, { readonly bytes: string; readonly values: string }> } = JSON.parse(
  readFileSync(`${import.meta.dir}/../golden/gguf/blocks.json`, "utf8")
)
const decoded = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"))
/** The same bytes at an odd address. */
const unaligned = (bytes: Uint8Array): Uint8Array => {
  const shifted = new Uint8Array(bytes.length + 1)
  shifted.set(bytes, 1)
  return shifted.subarray(1)
}
const half = (value: number): Uint8Array => u16(f32ToF16(value))

describe("dequantize", () => {
  for (const [name, { bytes, values }] of Object.entries(golden.blocks)) {
    test(`${name} equals gguf-py bit for bit`, () => {
      const expected = decoded(values)
      const found = new Float32Array(expected.length / 4)
      dequantize(name as TensorTypeName, decoded(bytes), found)
      expect(new Uint8Array(found.buffer)).toEqual(expected)
    })
  }

  test("has a golden vector for every type that packs blocks", () => {
    const packed = Object.values(tensorTypes).filter(({ blockSize }) => blockSize > 1)
    expect(Object.keys(golden.blocks).toSorted()).toEqual(packed.map(({ name }) => name).toSorted())
  })

  test("F32, F16 and BF16 keep their values at any address", () => {
    const values = [1, -2.5, Infinity, 2 ** -14]
    const encoded: ReadonlyArray<readonly [TensorTypeName, Uint8Array]> = [
      ["F32", f32(...values)],
      ["F16", u16(0x3c00, 0xc100, 0x7c00, 0x0400)],
      ["BF16", u16(0x3f80, 0xc020, 0x7f80, 0x3880)]
    ]
    for (const [type, bytes] of encoded) {
      const out = new Float32Array(5).subarray(1)
      dequantize(type, unaligned(bytes), out)
      expect([...out]).toEqual(values)
    }
  })

  // [type, [offset, bytes] …, [weight, its value] …]: all other bytes are zero. Scales are powers of two.
  const byHand: ReadonlyArray<
    readonly [TensorTypeName, ReadonlyArray<readonly [number, Uint8Array]>, ReadonlyArray<readonly [number, number]>]
  > = [
    [
      "Q8_0",
      [
        [0, half(0.5)],
        [2 + 31, Uint8Array.of(0x80)]
      ],
      [
        [31, -64],
        [0, 0]
      ]
    ],
    [
      "Q4_0",
      [
        [0, half(0.5)],
        [2 + 3, Uint8Array.of(0xf1)]
      ],
      [
        [3, -3.5],
        [19, 3.5],
        [0, -4]
      ]
    ],
    [
      "Q4_1",
      [
        [0, half(0.5)],
        [2, half(-1)],
        [4 + 3, Uint8Array.of(0xf1)]
      ],
      [
        [3, -0.5],
        [19, 6.5],
        [0, -1]
      ]
    ],
    [
      "Q5_0",
      [
        [0, half(0.5)],
        [2, Uint8Array.of(8, 0, 8, 0)],
        [6 + 3, Uint8Array.of(0xf1)]
      ],
      [
        [3, 0.5],
        [19, 7.5],
        [0, -8]
      ]
    ],
    [
      "Q5_1",
      [
        [0, half(0.5)],
        [2, half(-1)],
        [4, Uint8Array.of(8, 0, 8, 0)],
        [8 + 3, Uint8Array.of(0xf1)]
      ],
      [
        [3, 7.5],
        [19, 14.5],
        [0, -1]
      ]
    ],
    // Weight 52 is in group 3 (scale 2, min 5): byte 16 + 4 of the half's 32, bits 2 and 3.
    [
      "Q2_K",
      [
        [80, half(0.5)],
        [82, half(1)],
        [3, Uint8Array.of(0x52)],
        [16 + 20, Uint8Array.of(0b1000)]
      ],
      [
        [52, -3],
        [51, -5],
        [0, 0]
      ]
    ],
    // Weight 52 again: scale 33 − 32, high bit 1 of byte 20, low bits 2. Scale 3 is byte 3's low half and bits 0, 1 of byte 11.
    [
      "Q3_K",
      [
        [108, half(0.5)],
        [96 + 3, Uint8Array.of(1)],
        [96 + 11, Uint8Array.of(2)],
        [20, Uint8Array.of(2)],
        [32 + 20, Uint8Array.of(0b1000)]
      ],
      [
        [52, 1],
        [51, -2]
      ]
    ],
    // Weight 200 is in group 6 (scale 1 + 16 · 2, min 3 + 16 · 1): byte 8 of the fourth 32, low half.
    [
      "Q4_K",
      [
        [0, half(0.5)],
        [2, half(1)],
        [4 + 2, Uint8Array.of(0x80)],
        [4 + 6, Uint8Array.of(0x40)],
        [4 + 10, Uint8Array.of(0x31)],
        [16 + 96 + 8, Uint8Array.of(0xf5)]
      ],
      [
        [200, 63.5],
        [192, -19],
        [0, 0]
      ]
    ],
    [
      "Q5_K",
      [
        [0, half(0.5)],
        [2, half(1)],
        [4 + 2, Uint8Array.of(0x80)],
        [4 + 6, Uint8Array.of(0x40)],
        [4 + 10, Uint8Array.of(0x31)],
        [16 + 8, Uint8Array.of(0x40)],
        [48 + 96 + 8, Uint8Array.of(0xf5)]
      ],
      [
        [200, 327.5],
        [192, -19],
        [0, 0]
      ]
    ],
    // Weight 200 is in row 2 of the second half, group 12 (scale −2): byte 64 + 8, high half, bits 4 and 5 of byte 32 + 8.
    [
      "Q6_K",
      [
        [208, half(0.5)],
        [192 + 12, Uint8Array.of(0xfe)],
        [64 + 8, Uint8Array.of(0x7f)],
        [128 + 32 + 8, Uint8Array.of(0b11_0000)]
      ],
      [
        [200, -23],
        [201, 32],
        [0, 0]
      ]
    ]
  ]
  for (const [type, pieces, weights] of byHand) {
    test(`${type} gives single weights their values`, () => {
      const { blockSize, blockBytes } = tensorTypes[type]
      // Two blocks, the first all zero, so that strides are seen too.
      const bytes = new Uint8Array(2 * blockBytes)
      for (const [offset, piece] of pieces) bytes.set(piece, blockBytes + offset)
      const out = new Float32Array(2 * blockSize)
      dequantize(type, bytes, out)
      for (const [weight, value] of weights) expect([weight, out[blockSize + weight]! + 0]).toEqual([weight, value])
      expect(out.subarray(0, blockSize).every((value) => value === 0)).toBe(true)
    })
  }

  test("refuses lengths that do not fit each other", () => {
    expect(() => dequantize("Q8_0", new Uint8Array(34), new Float32Array(64))).toThrow(RangeError)
    expect(() => dequantize("Q8_0", new Uint8Array(34), new Float32Array(31))).toThrow(RangeError)
  })
})
