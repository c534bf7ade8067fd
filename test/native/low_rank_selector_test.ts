// Goal: a low-rank selector names what its formula names, says what it reads, and runs under the engine.
// Method: the formula in plain TypeScript on dequantized matrices; where a score is as near its threshold as rounding, either answer is right.
import { expect, test } from "bun:test"
import {
  dequantize,
  type LowRankBlock,
  NeuronSet,
  openLowRankSelector,
  quantize,
  randomFromSeed,
  rowBytes,
  type StoredMatrix,
  wholeBlocks
} from "@powerinfer/core"
import { openTinyModel, predictorContext, selectStrangers } from "@powerinfer/core/testing"
import { Effect } from "effect"

/** 0 … 1. */
const uniform = (seed: number): (() => number) => {
  const random = randomFromSeed(seed)
  return () => random.nextUniform()
}

type Type = "F32" | "F16" | "Q8_0" | "Q4_0"

const randomMatrix = (random: () => number, type: Type, width: number, rows: number): StoredMatrix => {
  const values = Float32Array.from({ length: width * rows }, () => random() - 0.5)
  return { type, bytes: quantize(type, values) }
}

const randomBlock = (random: () => number, type: Type, rank: number, hidden: number, ffn: number): LowRankBlock => ({
  rank,
  down: randomMatrix(random, type, hidden, rank),
  up: randomMatrix(random, type, wholeBlocks(type, rank), ffn),
  thresholds: Float32Array.from({ length: ffn }, () => random() - 0.5)
})

const valuesOf = ({ type, bytes }: StoredMatrix, count: number): Float32Array => {
  const values = new Float32Array(count)
  dequantize(type, bytes, values)
  return values
}

/** up · f(down · x) of every neuron. */
const scoresOf = (block: LowRankBlock, relu: boolean, x: Float32Array): Float32Array => {
  const { rank, down, up, thresholds } = block
  const width = wholeBlocks(up.type, rank)
  const downValues = valuesOf(down, rank * x.length)
  const upValues = valuesOf(up, width * thresholds.length)
  const middle = Array.from({ length: rank }, (_, r) => {
    const sum = x.reduce((total, value, i) => total + value * downValues[r * x.length + i]!, 0)
    return relu ? Math.max(0, sum) : sum
  })
  return thresholds.map((_, n) => middle.reduce((total, value, r) => total + value * upValues[n * width + r]!, 0))
}

for (const type of ["F32", "F16", "Q8_0", "Q4_0"] as const) {
  for (const relu of [true, false]) {
    test(`openLowRankSelector() names where the formula exceeds the thresholds: ${type}, ${relu ? "ReLU" : "linear"} (seed 7)`, () =>
      Effect.gen(function* () {
        const model = yield* openTinyModel({ family: "llama", seed: 7, shape: { ffnWidth: 96 } })
        const { hiddenWidth, ffnWidth, blockCount } = model.shape
        const random = uniform(7)
        const ranks = [33, 64]
        const blocks = Array.from({ length: blockCount }, (_, block) =>
          randomBlock(random, type, ranks[block % 2]!, hiddenWidth, ffnWidth)
        )
        const context = predictorContext(model)
        const selector = yield* openLowRankSelector(context, { relu, reads: "hidden", confirms: true, blocks })
        expect(selector).toMatchObject({ proposes: "some", confirms: true, exact: false })
        expect(selector.selectionBytes).toEqual(
          blocks.map(
            ({ rank }) => rank * rowBytes(type, hiddenWidth) + ffnWidth * (rowBytes(type, wholeBlocks(type, rank)) + 4)
          )
        )
        const rowCount = 5
        const values = Float32Array.from({ length: rowCount * hiddenWidth }, () => random() - 0.5)
        const active = new NeuronSet(ffnWidth, rowCount)
        let sure = 0
        blocks.forEach((weights, block) => {
          selectStrangers(selector, block, { values, rowCount, width: hiddenWidth }, active)
          for (let row = 0; row < rowCount; row++) {
            const scores = scoresOf(weights, relu, values.subarray(row * hiddenWidth, (row + 1) * hiddenWidth))
            scores.forEach((score, n) => {
              const over = score - weights.thresholds[n]!
              // Q4_0 multiplies activations that were rounded to 8 bits, and there are two products in a row.
              if (Math.abs(over) < (type === "Q4_0" ? 0.05 : 0.001)) return
              sure++
              expect(active.has(row, n)).toBe(over > 0)
            })
          }
        })
        expect(sure).toBeGreaterThan(0.9 * rowCount * ffnWidth * blockCount)
      }).pipe(Effect.scoped, Effect.runPromise))
  }
}

test("openLowRankSelector() refuses another number of blocks, and matrices of another size, in words", () =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 7 })
    const { hiddenWidth, ffnWidth } = model.shape
    const block = randomBlock(uniform(8), "F16", 8, hiddenWidth, ffnWidth)
    const open = (blocks: ReadonlyArray<LowRankBlock>) =>
      Effect.flip(
        openLowRankSelector(predictorContext(model), { relu: true, reads: "hidden", confirms: false, blocks })
      )
    expect((yield* open([block])).message).toBe(
      "Cannot open the predictor low_rank: it has matrices for 1 blocks, the model has 2"
    )
    const short = { ...block, thresholds: block.thresholds.subarray(1) }
    expect((yield* open([block, short])).message).toContain("the array thresholds.1 has")
  }).pipe(Effect.scoped, Effect.runPromise))
