// Goal: mlp keeps the contract of predictors; what it learns on a text it has never seen before is better than chance by far, and what it says of itself is so.
// Method: tiny models whose rows are those of the contract suite; selections against the two products written out; a training that is ended, and goes on.
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  loadPlugin,
  type Model,
  NeuronSet,
  openModel,
  optionFields,
  quantize,
  randomFromSeed,
  readGguf,
  readTensor,
  type TrainingContext,
  type TrainingRows,
  writeGguf
} from "@powerinfer/core"
import { predictorContext, predictorContract, selectStrangers } from "@powerinfer/core/testing"
import plugin, { mlp, type MlpOptions } from "@powerinfer/predictor-mlp"
import { Effect } from "effect"
import { type FfnTruth, openFfnTruth } from "../../../core/testing/ffn_truth.ts"
import { openTinyModel, tinyModel } from "../../../core/testing/tiny_model.ts"

// Training takes a second here, and more on a machine that does other things too.
setDefaultTimeout(60_000)

for (const options of [{}, { rank: 40, type: "Q4_0", relu: true, by: "magnitude" }]) {
  describe(`with ${JSON.stringify(options)}`, () => predictorContract({ test, plugin, options }))
}

test("mlp() loads by the module it names, and describes every option", async () => {
  expect((await Effect.runPromise(loadPlugin(mlp({ file: "x.gguf" })))).plugin).toBe(plugin)
  for (const field of optionFields(plugin.options)) expect(field.description).toBeString()
})

const shape = { blockCount: 2, hiddenWidth: 64, ffnWidth: 96, headCount: 2 }

const rowsPerChunk = 64
const chunkCount = 20

interface Given {
  readonly activation?: "relu" | "silu"
  readonly checkpoint?: TrainingContext["checkpoint"]
  readonly onBlock?: (block: number) => void
}

/** Rows of a block of the ReLU model; made once, because the truth is computed in plain TypeScript. */
const rowsOf = (truth: FfnTruth, block: number): ReadonlyArray<TrainingRows> =>
  (rowsMade[block] ??= Array.from({ length: chunkCount }, (_, chunk) => {
    const hidden = truth.hidden(block, rowsPerChunk, 100 * block + chunk)
    const activations = new Float32Array(rowsPerChunk * shape.ffnWidth)
    truth.activations(block, hidden, activations)
    return { rowCount: rowsPerChunk, hidden: hidden.values, activations }
  }))
const rowsMade: Array<ReadonlyArray<TrainingRows>> = []

/** A tiny model, a place for a file, and a context to train in. */
const withModel = async <A>(
  given: Given,
  run: (model: Model, context: TrainingContext, lines: Array<string>) => Effect.Effect<A, unknown, never>
): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "powerinfer-mlp-"))
  try {
    return await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const model = yield* openTinyModel({
            family: "llama",
            seed: 5,
            activation: given.activation ?? "relu",
            shape
          })
          const truth = openFfnTruth(model)
          const lines: Array<string> = []
          const context: TrainingContext = {
            model,
            seed: 9,
            out: join(folder, "mlp.gguf"),
            rowCount: rowsPerChunk * chunkCount,
            announce: (line) => lines.push(line),
            openPredictor: () => Effect.die("nobody asks for it"),
            rows: (block) => {
              given.onBlock?.(block)
              return rowsOf(truth, block)
            },
            ...(given.checkpoint && { checkpoint: given.checkpoint })
          }
          return yield* run(model, context, lines)
        })
      )
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const train = (options: MlpOptions, context: TrainingContext) => Effect.scoped(plugin.train!(options, context))

/** What is named for fresh rows of a block, beside what fires. */
const selectFresh = (model: Model, options: MlpOptions, block: number) =>
  Effect.scoped(
    Effect.map(plugin.open(options, predictorContext(model, { rowCountMax: 40 })), (selector) => {
      const truth = openFfnTruth(model)
      const hidden = truth.hidden(block, 40, 12_345)
      const activations = new Float32Array(40 * shape.ffnWidth)
      truth.activations(block, hidden, activations)
      const active = new NeuronSet(shape.ffnWidth, 40)
      selectStrangers(selector, block, hidden, active)
      let [named, fired, found] = [0, 0, 0]
      for (let row = 0; row < 40; row++) {
        for (let neuron = 0; neuron < shape.ffnWidth; neuron++) {
          const isNamed = active.has(row, neuron)
          const fires = activations[row * shape.ffnWidth + neuron] !== 0
          if (isNamed) named++
          if (fires) fired++
          if (isNamed && fires) found++
        }
      }
      return { active, hidden, selector, recall: found / fired, precision: found / named, named }
    })
  )

describe("mlp learns", () => {
  test("to find what fires at the recall it was asked for, on rows it has not seen", () =>
    withModel({}, (model, context, lines) =>
      Effect.gen(function* () {
        const options = yield* train({ budget: 1, recall: 0.95 }, context)
        expect(options).toEqual({ budget: 1, recall: 0.95, file: context.out })
        for (const block of [0, 1]) {
          const { recall, precision } = yield* selectFresh(model, options, block)
          expect(recall).toBeGreaterThan(0.92)
          // Half of the neurons fire here.
          expect(precision).toBeGreaterThan(0.9)
        }
        expect(lines.some((line) => line.startsWith("widths of the blocks: "))).toBe(true)
        expect(lines.filter((line) => line.includes("of what fires found")).length).toBe(2)
      })
    ))

  test("writes how well it did, for which model and how", () =>
    withModel({}, (_model, context) =>
      Effect.gen(function* () {
        yield* train({ rank: 32, recall: 0.9, epochs: 1 }, context)
        const { metadata, tensors } = yield* readGguf(context.out)
        expect(metadata.string("powerinfer.predictor.name")).toBe("mlp")
        expect([...metadata.numbers("powerinfer.mlp.ranks")]).toEqual([32, 32])
        for (const recall of metadata.numbers("powerinfer.mlp.recall"))
          expect(Number(recall)).toBeGreaterThanOrEqual(0.9)
        expect(tensors.get("blk.1.fc1.weight")).toMatchObject({ type: "Q8_0", shape: [64, 32] })
        expect(tensors.get("blk.1.fc2.weight")).toMatchObject({ type: "Q8_0", shape: [32, 96] })
        expect(tensors.get("blk.1.threshold")).toMatchObject({ type: "F32", shape: [96] })
      })
    ))

  test("goes on after the blocks that are done, and writes the same file", () => {
    const pieces = new Map<string, Uint8Array<ArrayBuffer>>()
    const visited: Array<number> = []
    const checkpoint = {
      read: (name: string) => pieces.get(name),
      write: (name: string, bytes: Uint8Array) => void pieces.set(name, new Uint8Array(bytes))
    }
    const onBlock = (block: number) => void visited.push(block)
    return withModel({ checkpoint, onBlock }, (_model, context) =>
      Effect.gen(function* () {
        const options = { budget: 0.5, epochs: 1 }
        yield* train(options, context)
        const whole = readFileSync(context.out)
        expect([...pieces.keys()]).toEqual(["ranks", "block.0", "block.1"])
        pieces.delete("block.1")
        visited.length = 0
        yield* train(options, context)
        expect(visited).toEqual([1])
        expect(readFileSync(context.out).equals(whole)).toBe(true)
      })
    )
  })

  test("nothing from a model whose neurons are never silent, nor from a budget without room", () =>
    withModel({ activation: "silu" }, (_model, context) =>
      Effect.gen(function* () {
        const refused = yield* Effect.flip(train({}, context))
        expect(refused).toMatchObject({ _tag: "PredictorMismatch", actual: expect.stringContaining("silu") })
      })
    ).then(() =>
      withModel({}, (_model, context) =>
        Effect.gen(function* () {
          const refused = yield* Effect.flip(train({ budget: 0.001 }, context))
          expect(refused).toMatchObject({
            _tag: "PredictorFailure",
            reason: expect.stringContaining("give it at least")
          })
        })
      )
    ))
})

describe("mlp opens", () => {
  test("to what the two products say: fc2 · fc1 · x above the thresholds, moved by `shift`", () =>
    withModel({}, (model, context) =>
      Effect.gen(function* () {
        const options = yield* train({ rank: 32, epochs: 1, type: "F16" }, context)
        const gguf = yield* readGguf(context.out)
        const tensor = (name: string) => readTensor(gguf, gguf.tensors.get(name)!)
        const [fc1, fc2, threshold] = ["fc1.weight", "fc2.weight", "threshold"].map((name) => tensor(`blk.1.${name}`))
        let last = Infinity
        for (const shift of [-0.5, 0, 0.5]) {
          const { active, hidden, named } = yield* selectFresh(model, { ...options, shift }, 1)
          let wrong = 0
          for (let row = 0; row < hidden.rowCount; row++) {
            const thin = Float64Array.from({ length: 32 }, (_, k) => {
              let sum = 0
              for (let i = 0; i < 64; i++) sum += fc1![k * 64 + i]! * hidden.values[row * 64 + i]!
              return sum
            })
            for (let neuron = 0; neuron < shape.ffnWidth; neuron++) {
              let score = -threshold![neuron]! - shift
              for (let k = 0; k < 32; k++) score += fc2![neuron * 32 + k]! * thin[k]!
              // Nearer to the threshold than this, rounding may decide.
              if (Math.abs(score) > 1e-3 && active.has(row, neuron) !== score > 0) wrong++
            }
          }
          expect(wrong).toBe(0)
          expect(named).toBeLessThan(last)
          last = named
        }
      })
    ))

  test("as one that says what it reads and whether the FFN confirms, and says how to train where there is nothing to open", () =>
    withModel({}, (model, context) =>
      Effect.gen(function* () {
        const options = yield* train({ rank: 32, epochs: 1 }, context)
        const { selector } = yield* selectFresh(model, { ...options, confirm: false }, 0)
        expect(selector).toMatchObject({ proposes: "some", confirms: false, exact: false })
        expect(selector.selectionBytes).toEqual([1, 2].map(() => 32 * 68 + 96 * (34 + 4)))
        const refused = yield* Effect.flip(Effect.scoped(plugin.open({}, predictorContext(model))))
        expect(refused).toMatchObject({
          _tag: "PredictorFailure",
          reason: expect.stringContaining("powerinfer train mlp")
        })
      })
    ))

  test("the predictors in a PowerInfer file: a relu between, the residual as input, one threshold; a block without one is named whole", () =>
    withModel({}, (_model, context) =>
      Effect.scoped(
        Effect.gen(function* () {
          const rank = 8
          const random = randomFromSeed(31)
          const some = (count: number) => Float32Array.from({ length: count }, () => random.nextUniform() - 0.5)
          const [fc1, fc2] = [some(rank * shape.hiddenWidth), some(shape.ffnWidth * rank)]
          const tiny = tinyModel({ family: "llama", seed: 5, activation: "relu", shape })
          const tensor = (name: string, columns: number, rows: number, values: Float32Array) =>
            ({ name, type: "F32", shape: [columns, rows], chunks: () => [quantize("F32", values)] }) as const
          yield* writeGguf(context.out, {
            ...tiny,
            metadata: [...tiny.metadata, ["powerinfer.sparse_threshold", "f32", 0.1]],
            tensors: [
              ...tiny.tensors,
              tensor("blk.0.fc1.weight", shape.hiddenWidth, rank, fc1),
              tensor("blk.0.fc2.weight", rank, shape.ffnWidth, fc2)
            ]
          })
          const model = yield* openModel(context.out)
          const selector = yield* plugin.open({}, predictorContext(model))
          const hidden = { rowCount: 1, width: 64, values: new Float32Array(64).fill(9), residual: some(64) }
          const active = new NeuronSet(shape.ffnWidth, 1)
          selectStrangers(selector, 1, hidden, active)
          expect(active.count(0)).toBe(shape.ffnWidth)
          selectStrangers(selector, 0, hidden, active)
          const dot = (row: Float32Array, start: number, other: Float32Array) =>
            other.reduce((sum, value, at) => sum + value * row[start + at]!, 0)
          const thin = Float32Array.from({ length: rank }, (_, k) => Math.max(0, dot(fc1, 64 * k, hidden.residual)))
          for (let neuron = 0; neuron < shape.ffnWidth; neuron++) {
            const score = dot(fc2, rank * neuron, thin)
            expect(Math.abs(score - 0.1)).toBeGreaterThan(1e-5)
            expect(active.has(0, neuron)).toBe(score > 0.1)
          }
        })
      )
    ))
})
