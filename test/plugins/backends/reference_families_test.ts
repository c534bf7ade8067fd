// Goal: what no independent implementation gave us logits for is right too: smallthinker, bamboo, down by neuron, relu².
// Method: smallthinker with one expert is llama with a ReLU gate whose q and k rows are permuted from pairs to halves, so one is made
// of the other's weights; bamboo's and relu²'s activations are computed here from the file's tensors, in the formula's own words.
import { expect, test } from "bun:test"
import plugin from "@powerinfer/backend-reference"
import { Batch, bindPlugin, type GgufToWrite, readTensor, type TensorToWrite } from "@powerinfer/core"
import { largestError, openHome, type TinyModel, tinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { logitsOf, withWritten } from "../../support/run_tiny.ts"

const backend = Effect.runSync(bindPlugin(plugin, {}))
const tokens = [1, 40, 7, 200, 13, 99]
const headWidth = 16

const valuesOf = (tensor: TensorToWrite): Float32Array<ArrayBuffer> => {
  const [bytes] = [...tensor.chunks()]
  return new Float32Array(bytes!.slice().buffer)
}

const withValues = (tensor: TensorToWrite, values: Float32Array): TensorToWrite => ({
  ...tensor,
  chunks: () => [new Uint8Array(values.slice().buffer)]
})

/** Row i of a head's first half comes from row 2i, row i of its second half from row 2i + 1. */
const fromPairsToHalves = (tensor: TensorToWrite): TensorToWrite => {
  const [width, rows] = tensor.shape as readonly [number, number]
  const from = valuesOf(tensor)
  const to = new Float32Array(from.length)
  for (let row = 0; row < rows; row++) {
    const inHead = row % headWidth
    const half = headWidth / 2
    const source = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1)
    to.set(from.subarray(source * width, (source + 1) * width), row * width)
  }
  return withValues(tensor, to)
}

test("smallthinker with one expert equals ReGLU llama with q and k by halves", async () => {
  const llama = tinyModel({ family: "llama", seed: 21, activation: "relu" })
  const smallthinker = tinyModel({ family: "smallthinker", seed: 22 })
  const tensorsByName = new Map(llama.tensors.map((tensor) => [tensor.name, tensor]))
  const tensors = smallthinker.tensors.map((tensor) => {
    const source = tensorsByName.get(tensor.name.replace("_exps", ""))
    // The router has no counterpart: its random weights must not matter.
    if (!source) return tensor
    const permuted = /attn_[qk]\.weight/.test(tensor.name) ? fromPairsToHalves(source) : source
    return { ...permuted, name: tensor.name, shape: tensor.shape }
  })
  const expected = await logitsOf(backend, llama, tokens)
  expect(largestError(await logitsOf(backend, { ...smallthinker, tensors }, tokens), expected)).toBeLessThan(1e-6)
  // The permutation matters, so the comparison means something.
  const unpermuted = tensors.map((tensor) =>
    /attn_[qk]\.weight/.test(tensor.name) ? { ...tensorsByName.get(tensor.name)!, shape: tensor.shape } : tensor
  )
  const wrong = await logitsOf(backend, { ...smallthinker, tensors: unpermuted }, tokens)
  expect(largestError(wrong, expected)).toBeGreaterThan(1e-2)
})

/** The first block's FFN input and what the backend makes of it. */
const firstFfn = (gguf: GgufToWrite) =>
  withWritten(gguf, (model) =>
    Effect.scoped(
      Effect.gen(function* () {
        const home = yield* openHome(backend, model, { rowCountMax: tokens.length, sparse: true })
        const cache = yield* home.openCache(tokens.length, "f32")
        const batch = new Batch(tokens.length)
        for (const [position, token] of tokens.entries()) batch.add(token, position, cache, false)
        home.embed(batch)
        const hidden = home.attend(batch, 0)
        const activations = new Float32Array(tokens.length * model.shape.ffnWidth)
        home.activations(0, hidden, activations)
        const partial = home.startFfn(0, hidden, undefined, true).wait()!.slice()
        const { gate, up, down } = model.blocks[0]!
        const values = [gate?.weight, up.weight, down.weight].map((weight) => weight && readTensor(model.gguf, weight))
        return { model, hidden: hidden.values.slice(), activations, partial, values }
      })
    )
  )

const relu = (x: number): number => (x > 0 ? x : 0)

const formulas: ReadonlyArray<readonly [TinyModel, (gate: number, up: number) => number]> = [
  [{ family: "bamboo", seed: 31 }, (gate, up) => relu(gate) * relu(up)],
  [{ family: "llama", seed: 32, activation: "relu_squared" }, (gate, up) => relu(gate) ** 2 * up],
  [
    { family: "qwen2", seed: 33, activation: "gelu" },
    (gate, up) => (gate / 2) * (1 + errorFunction(gate / Math.SQRT2)) * up
  ]
]

/** ∫ by Simpson's rule: another way than the backend's series. */
const errorFunction = (x: number): number => {
  const steps = 2000
  const h = x / steps
  let sum = 1 + Math.exp(-x * x)
  for (let i = 1; i < steps; i++) sum += (i % 2 === 0 ? 2 : 4) * Math.exp(-((i * h) ** 2))
  return ((2 / Math.sqrt(Math.PI)) * h * sum) / 3
}

for (const [spec, formula] of formulas) {
  test(`reference computes the FFN of ${spec.family} with ${spec.activation ?? "its own activation"} by the formula`, async () => {
    const { model, hidden, activations, partial, values } = await firstFfn(tinyModel(spec))
    const { hiddenWidth, ffnWidth } = model.shape
    const [gate, up, down] = values
    const expectedPartial = new Float32Array(hidden.length)
    const expected = Float32Array.from(activations, (_, i) => {
      const [row, neuron] = [Math.floor(i / ffnWidth), i % ffnWidth]
      const dot = (matrix: Float32Array) => {
        let sum = 0
        for (let j = 0; j < hiddenWidth; j++) {
          sum += matrix[neuron * hiddenWidth + j]! * hidden[row * hiddenWidth + j]!
        }
        return sum
      }
      const activation = formula(dot(gate!), dot(up!))
      for (let j = 0; j < hiddenWidth; j++) {
        expectedPartial[row * hiddenWidth + j]! += activation * down![j * ffnWidth + neuron]!
      }
      return activation
    })
    expect(largestError(activations, expected)).toBeLessThan(1e-6)
    expect(largestError(partial, expectedPartial)).toBeLessThan(1e-5)
    if (model.sparse) expect(activations.filter((activation) => activation === 0).length).toBeGreaterThan(0)
  })
}

test("a down by neuron gives the logits of the same down by output", async () => {
  for (const spec of [
    { family: "llama", seed: 41, activation: "relu" },
    { family: "opt", seed: 42 }
  ] as const) {
    const byOutput = tinyModel(spec)
    const sources = new Map(byOutput.tensors.map((tensor) => [tensor.name, tensor]))
    const tensors = tinyModel({ ...spec, downByNeuron: true }).tensors.map((tensor) => {
      const source = sources.get(tensor.name.replace("ffn_down_t", "ffn_down"))!
      if (!tensor.name.endsWith("ffn_down_t.weight")) return { ...source, name: tensor.name }
      const [hiddenWidth, ffnWidth] = tensor.shape as readonly [number, number]
      const from = valuesOf(source)
      const transposed = from.map((_, i) => from[(i % hiddenWidth) * ffnWidth + Math.floor(i / hiddenWidth)]!)
      return withValues(tensor, transposed)
    })
    const expected = await logitsOf(backend, byOutput, tokens)
    for (const confirms of [false, true]) {
      const actual = await logitsOf(backend, { ...byOutput, tensors }, tokens, { confirms })
      expect(largestError(actual, expected)).toBeLessThan(1e-6)
    }
  }
})
