// The model's tensors as float32 in JavaScript.
import {
  type Linear,
  type Model,
  type ModelShape,
  type NeuronShare,
  readTensor,
  inverseFrequencies
} from "@powerinfer/core"
import type { LinearWeights } from "./linear.ts"
import type { NormWeights } from "./norm.ts"

/** An FFN, its three matrices with one row per neuron. */
export interface FfnWeights {
  readonly gate: LinearWeights | undefined
  readonly up: LinearWeights
  /** f32[ffn_width, hidden_width]; its bias is the home's to add. */
  readonly down: LinearWeights
}

export interface AttentionWeights {
  readonly norm: NormWeights
  readonly q: LinearWeights
  readonly k: LinearWeights
  readonly v: LinearWeights
  readonly qNorm: NormWeights | undefined
  readonly kNorm: NormWeights | undefined
  readonly output: LinearWeights
  readonly ffnNorm: NormWeights
  readonly downBias: Float32Array | undefined
}

/** What only the home device needs. */
export interface HomeWeights {
  readonly tokenEmbedding: LinearWeights
  readonly positionEmbedding: LinearWeights | undefined
  readonly inverseFrequencies: Float32Array
  readonly attention: ReadonlyArray<AttentionWeights>
  readonly outputNorm: NormWeights
  readonly output: LinearWeights
}

/** The FFNs of the blocks that have neurons here. The home has all of them: it is asked for activations of any neuron. */
export const loadFfns = (
  model: Model,
  shares: ReadonlyArray<NeuronShare>,
  home: boolean
): ReadonlyArray<FfnWeights | undefined> =>
  model.blocks.map(({ gate, up, down }, block) => {
    if (!home && shares[block] === "none") return undefined
    return {
      gate: gate && loadLinear(model, gate),
      up: loadLinear(model, up),
      down: byNeuron(loadLinear(model, { weight: down.weight }), down.layout)
    }
  })

export const loadHome = (model: Model): HomeWeights => {
  const { shape } = model
  const norm = (linear: Linear) => loadNorm(model, linear, shape.norm)
  const headNorm = (weight: Linear["weight"] | undefined) =>
    weight && loadNorm(model, { weight }, { kind: "rms", epsilon: shape.norm.epsilon })
  const tokenEmbedding = loadLinear(model, { weight: model.tokenEmbedding })
  const tied = model.output.weight.name === model.tokenEmbedding.name && !model.output.bias
  return {
    tokenEmbedding,
    positionEmbedding: model.positionEmbedding && loadLinear(model, { weight: model.positionEmbedding }),
    inverseFrequencies: inverseFrequencies(
      shape.positions,
      model.ropeFactors && readTensor(model.gguf, model.ropeFactors)
    ),
    attention: model.blocks.map((block) => ({
      norm: norm(block.attentionNorm),
      q: loadLinear(model, block.q),
      k: loadLinear(model, block.k),
      v: loadLinear(model, block.v),
      qNorm: headNorm(block.qNorm),
      kNorm: headNorm(block.kNorm),
      output: loadLinear(model, block.attentionOutput),
      ffnNorm: norm(block.ffnNorm),
      downBias: block.down.bias && readTensor(model.gguf, block.down.bias)
    })),
    outputNorm: norm(model.outputNorm),
    output: tied ? tokenEmbedding : loadLinear(model, model.output)
  }
}

const loadLinear = (model: Model, { weight, bias }: Linear): LinearWeights => ({
  values: readTensor(model.gguf, weight),
  width: weight.shape[0]!,
  rows: weight.shape[1] ?? 1,
  bias: bias && readTensor(model.gguf, bias),
  sizeBytes: weight.sizeBytes
})

const loadNorm = (model: Model, { weight, bias }: Linear, norm: ModelShape["norm"]): NormWeights => ({
  ...norm,
  weight: readTensor(model.gguf, weight),
  bias: bias && readTensor(model.gguf, bias)
})

/** `down` with one row per neuron, whichever way the file has it. */
const byNeuron = (down: LinearWeights, layout: "by_output" | "by_neuron"): LinearWeights => {
  if (layout === "by_neuron") return down
  const { width: ffnWidth, rows: hiddenWidth } = down
  const values = new Float32Array(down.values.length)
  for (let output = 0; output < hiddenWidth; output++) {
    for (let neuron = 0; neuron < ffnWidth; neuron++) {
      values[neuron * hiddenWidth + output] = down.values[output * ffnWidth + neuron]!
    }
  }
  return { ...down, values, width: hiddenWidth, rows: ffnWidth }
}
