// Goal: options outside their range never reach a rule, and what is left out means what the documentation says.
// Method: one accepted and one refused value at each edge of each field.
import { describe, expect, test } from "bun:test"
import { Schema } from "effect"
import { SamplerOptions } from "../../core/sampler/options.ts"

const decode = Schema.decodeUnknownSync(SamplerOptions)

const ranges: ReadonlyArray<{ field: string; accepted: ReadonlyArray<unknown>; refused: ReadonlyArray<unknown> }> = [
  { field: "temperature", accepted: [0, 5e-324, 100], refused: [-0.1, 100.1, NaN, Infinity, "1"] },
  { field: "topK", accepted: [0, 1, 2 ** 32 - 1], refused: [-1, 1.5, 2 ** 32, NaN] },
  { field: "topP", accepted: [5e-324, 1], refused: [0, 1.01, NaN] },
  { field: "minP", accepted: [0, 1], refused: [-0.01, 1.01, NaN] },
  { field: "repetitionPenalty", accepted: [5e-324, 1, 100], refused: [0, -1, 101, Infinity] },
  { field: "presencePenalty", accepted: [-100, 0, 100], refused: [-101, 101, NaN] },
  { field: "frequencyPenalty", accepted: [-100, 0, 100], refused: [-101, 101, NaN] },
  { field: "penaltyWindow", accepted: [0, 2 ** 20], refused: [-1, 2 ** 20 + 1, 0.5] },
  { field: "seed", accepted: [0, 2 ** 32 - 1], refused: [-1, 2 ** 32, 0.5, "7"] },
  {
    field: "logitBias",
    accepted: [{}, { "0": 1e6, "4294967295": -Infinity }],
    refused: [{ "-1": 0 }, { "1.5": 0 }, { "01": 0 }, { x: 0 }, { "4294967296": 0 }, { "1": NaN }, { "1": Infinity }]
  }
]

for (const { field, accepted, refused } of ranges) {
  describe(`SamplerOptions.${field}`, () => {
    for (const value of accepted) {
      test(`accepts ${Bun.inspect(value, { compact: true })}`, () => {
        expect(decode({ [field]: value })).toMatchObject({ [field]: value })
      })
    }
    for (const value of refused) {
      test(`refuses ${Bun.inspect(value, { compact: true })}`, () => {
        expect(() => decode({ [field]: value })).toThrow(field)
      })
    }
  })
}

test("SamplerOptions has the defaults of llama.cpp, decoded or made", () => {
  const defaults = {
    temperature: 0.8,
    topK: 40,
    topP: 0.95,
    minP: 0.05,
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    penaltyWindow: 64,
    logitBias: {}
  }
  expect(decode({})).toMatchObject(defaults)
  expect(SamplerOptions.make({})).toMatchObject(defaults)
})

test("SamplerOptions shows the seed that it chose when none was given", () => {
  const seeds = Array.from({ length: 20 }, () => SamplerOptions.make({}).seed)
  for (const seed of seeds) expect(decode({ seed }).seed).toBe(seed)
  expect(new Set(seeds).size).toBeGreaterThan(1)
})
