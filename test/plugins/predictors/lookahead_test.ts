// Goal: lookahead names what was guessed at the block before, every neuron where nothing was, and its guesses are the best linear ones of their rank.
// Method: a guesser made for the test; the fit against data made by a linear map of known rank; calibration against sorting.
import { expect, test } from "bun:test"
import { Batch, loadPlugin, type MatrixProduct, type Model, NeuronSet, type NeuronSelector } from "@powerinfer/core"
import { openTinyModel, predictorContext, predictorContract } from "@powerinfer/core/testing"
import plugin, { lookahead } from "@powerinfer/predictor-lookahead"
import { Effect } from "effect"
import { randomFromSeed } from "../../../core/sampler/random.ts"
import { calibrate } from "../../../plugins/predictors/lookahead/calibrate.ts"
import { fitGuess, gatherMoments } from "../../../plugins/predictors/lookahead/fit.ts"
import { selectAhead } from "../../../plugins/predictors/lookahead/select_ahead.ts"

predictorContract({ test, plugin, options: { rank: 8 } })

test("lookahead() loads by the module it names", async () => {
  expect((await Effect.runPromise(loadPlugin(lookahead({ file: "x.gguf" })))).plugin).toBe(plugin)
})

test("lookahead refuses to open without a file, and says how to get one", async () => {
  const opened = Effect.flatMap(openTinyModel({ family: "llama", seed: 1 }), (model) =>
    plugin.open({}, predictorContext(model))
  )
  const error = await Effect.runPromise(Effect.flip(Effect.scoped(opened)))
  expect(error._tag).toBe("PredictorFailure")
  expect(error.message).toContain("powerinfer train lookahead")
})

const all = [0, 1, 2, 3, 4, 5]

/** Guesses, at block b, neuron b of the next block, and the one in the row's first value. */
const openAhead = () => {
  const asked: Array<number> = []
  const guess: NeuronSelector = {
    proposes: "some",
    confirms: true,
    exact: false,
    selectionBytes: [10, 20, 30],
    select: (block, { rowCount, values }, active) => {
      asked.push(block)
      for (let row = 0; row < rowCount; row++) {
        active.add(row, block)
        active.add(row, values[row]!)
      }
    }
  }
  const model = { shape: { blockCount: 3, ffnWidth: 6 } } as Model
  const selector = selectAhead(guess, { model, rowCountMax: 4 })
  const ask = (block: number, rows: ReadonlyArray<readonly [position: number, value: number]>) => {
    const batch = new Batch(rows.length)
    for (const [position] of rows) batch.add(0, position, 1, false)
    const active = new NeuronSet(6, rows.length)
    active.reset(rows.length)
    const values = Float32Array.from(rows, ([, value]) => value)
    selector.select(block, { rowCount: rows.length, width: 1, values }, active, batch)
    return rows.map((_, row) => all.filter((neuron) => active.has(row, neuron)))
  }
  return { ask, asked, selector }
}

test("lookahead names at a block what was guessed at the one before, and every neuron of the first", () => {
  const { ask, asked, selector } = openAhead()
  const rows = [
    [7, 3],
    [8, 5]
  ] as const
  expect(ask(0, rows)).toEqual([all, all])
  expect(ask(1, rows)).toEqual([
    [0, 3],
    [0, 5]
  ])
  expect(
    ask(2, [
      [7, 0],
      [8, 0]
    ])
  ).toEqual([
    [1, 3],
    [1, 5]
  ])
  expect(asked).toEqual([0, 1])
  expect(selector.selectionBytes).toEqual([10, 20, 0])
})

test("lookahead names every neuron of rows that the block before was not asked about", () => {
  const { ask } = openAhead()
  ask(0, [[7, 3]])
  expect(ask(1, [[8, 3]])).toEqual([all])
  ask(0, [[7, 3]])
  expect(ask(2, [[7, 3]])).toEqual([all])
  ask(0, [[7, 3]])
  expect(
    ask(1, [
      [7, 3],
      [8, 3]
    ])
  ).toEqual([all, all])
})

/** The product by its definition. */
const multiply = ({ form, rows, columns, depth, a, b, c, adds = false }: MatrixProduct): void => {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = adds ? c[row * columns + column]! : 0
      for (let k = 0; k < depth; k++) {
        const left = form === "atb" ? a[k * rows + row]! : a[row * depth + k]!
        sum += left * (form === "abt" ? b[column * depth + k]! : b[k * columns + column]!)
      }
      c[row * columns + column] = sum
    }
  }
}

for (let seed = 1; seed <= 5; seed++) {
  test(`fitGuess() finds the linear map of its rank that the data were made by (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const uniform = () => random.nextUniform() - 0.5
    const [hiddenWidth, ffnWidth, rank, rowCount] = [9, 14, 3, 400]
    const down = Array.from({ length: rank * hiddenWidth }, uniform)
    const up = Array.from({ length: ffnWidth * rank }, uniform)
    const hidden = Float32Array.from({ length: rowCount * hiddenWidth }, () => uniform() + 0.2)
    const y = (row: number, neuron: number) => {
      let sum = 3
      for (let r = 0; r < rank; r++) {
        for (let i = 0; i < hiddenWidth; i++) {
          sum += up[neuron * rank + r]! * down[r * hiddenWidth + i]! * hidden[row * hiddenWidth + i]!
        }
      }
      return sum
    }
    const activations = Float32Array.from({ length: rowCount * ffnWidth }, (_, at) =>
      y(Math.floor(at / ffnWidth), at % ffnWidth)
    )
    // Magnitudes are what is fitted to: no activation is negative, so they are the activations.
    const model = { shape: { hiddenWidth, ffnWidth }, sparse: false } as Model
    const half = (from: number, to: number) => ({
      rowCount: to - from,
      hidden: hidden.subarray(from * hiddenWidth, to * hiddenWidth),
      activations: activations.subarray(from * ffnWidth, to * ffnWidth)
    })
    const context = { model, rowCount, rows: () => [half(0, 170), half(170, rowCount)] }
    const { moments, heldOut } = gatherMoments(0, context, multiply)
    expect(moments.rowCount).toBe(350)
    expect(heldOut.activations).toEqual(activations.slice(350 * ffnWidth))
    const guess = fitGuess(moments, rank, seed, multiply)
    for (let row = 0; row < heldOut.rowCount; row++) {
      for (let neuron = 0; neuron < ffnWidth; neuron++) {
        let score = guess.bias[neuron]!
        for (let r = 0; r < rank; r++) {
          for (let i = 0; i < hiddenWidth; i++) {
            score +=
              guess.up[neuron * rank + r]! * guess.down[r * hiddenWidth + i]! * heldOut.hidden[row * hiddenWidth + i]!
          }
        }
        // The ridge of a thousandth shrinks what is guessed by about that.
        expect(Math.abs(score - heldOut.activations[row * ffnWidth + neuron]!)).toBeLessThan(5e-3)
      }
    }
  })

  test(`calibrate() names no more than it takes to keep enough (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const scores = Float32Array.from({ length: 500 }, () => random.nextUniform())
    const activations = scores.map((score) => score * random.nextUniform())
    const { threshold, named } = calibrate(scores, activations, 0.9)
    const keptAbove = (limit: number) =>
      activations.filter((_, at) => scores[at]! > limit).reduce((sum, one) => sum + one, 0) /
      activations.reduce((sum, one) => sum + one, 0)
    expect(keptAbove(threshold)).toBeGreaterThanOrEqual(0.9)
    expect(keptAbove(threshold + 2 / 4096)).toBeLessThan(0.9)
    expect(named).toBeCloseTo(scores.filter((score) => score > threshold).length / 500, 2)
  })
}

test("calibrate() names everything where everything must be kept, and where all scores are the same", () => {
  const scores = Float32Array.of(0.5, 0.25, 1)
  expect(calibrate(scores, Float32Array.of(1, 1, 1), 1).threshold).toBeLessThan(0.25)
  expect(calibrate(new Float32Array(3), Float32Array.of(1, 0, 2), 0.5).threshold).toBeLessThan(0)
})
