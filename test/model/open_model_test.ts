// Goal: every family is described as its files are, and whatever would be computed wrong is refused with an error that names it.
// Method: headers of tiny models (written down independently in core/testing/tiny_families.ts), changed one thing at a time.
import { expect, test } from "bun:test"
import { type MetadataRow, openModel, UnsupportedArchitecture } from "@powerinfer/core"
import { type TinyFamily, type TinyModel, tinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { described } from "../support/described.ts"

const families: ReadonlyArray<TinyFamily> = ["llama", "bamboo", "opt", "falcon", "qwen2", "qwen3", "smallthinker"]
const describeTiny = (model: Partial<TinyModel>) =>
  Effect.runPromise(described(tinyModel({ family: "llama", seed: 1, ...model })))
const errorOf = (model: Partial<TinyModel>) =>
  Effect.runPromise(Effect.flip(described(tinyModel({ family: "llama", seed: 1, ...model }))))

const expectedShapes: { readonly [Name in TinyFamily]: object } = {
  llama: { positions: { style: "interleaved" }, gated: true, gateActivation: "silu", upActivation: "identity" },
  bamboo: { positions: { style: "interleaved" }, gated: true, gateActivation: "relu", upActivation: "relu" },
  opt: { positions: { kind: "learned", offset: 2 }, gated: false, gateActivation: "identity", upActivation: "relu" },
  falcon: { positions: { style: "halves" }, gated: false, upActivation: "gelu", parallel: true },
  qwen2: { positions: { style: "halves" }, gated: true, gateActivation: "silu" },
  qwen3: { positions: { style: "halves", width: 16 }, gated: true, gateActivation: "silu", parallel: false },
  smallthinker: { positions: { style: "halves" }, gated: true, gateActivation: "relu", upActivation: "identity" }
}

for (const family of families) {
  test(`describeModel() reads the shape of ${family}`, async () => {
    const model = await describeTiny({ family })
    expect(model.shape).toMatchObject({
      family,
      blockCount: 2,
      hiddenWidth: 64,
      ffnWidth: 96,
      headCount: 4,
      kvHeadCount: 2,
      headWidth: 16,
      contextLength: 128,
      ...expectedShapes[family]
    })
    expect(model.name).toBe(`tiny-${family}-1`)
    expect(model.blocks.length).toBe(2)
    expect(model.blocks[1]!.k.weight.shape).toEqual([64, 32])
    expect(model.blocks[1]!.up.weight.shape).toEqual([64, 96])
    expect(model.blocks[1]!.down.weight.shape).toEqual([96, 64])
  })

  test(`describeModel() refuses ${family} without any one of its tensors, by name`, async () => {
    const gguf = tinyModel({ family, seed: 1 })
    const optional = /output\.weight|\.bias$|attn_norm_2|ffn_gate_inp/
    for (const { name } of gguf.tensors.filter(
      (tensor) => !optional.test(tensor.name) || (/attn_output/.test(tensor.name) && !/bias/.test(tensor.name))
    )) {
      const tensors = gguf.tensors.filter((tensor) => tensor.name !== name)
      const error = await Effect.runPromise(Effect.flip(described({ ...gguf, tensors })))
      expect(error).toMatchObject({ _tag: "InvalidModel", tensor: name, actual: "missing" })
    }
  })

  test(`describeModel() refuses ${family} with a longer row or one more in any one of its tensors, by name`, async () => {
    const gguf = tinyModel({ family, seed: 1 })
    for (const [index, { name, shape }] of gguf.tensors.entries()) {
      // The length of these tables is the file's to decide; the router of one expert is not read.
      if (/ffn_gate_inp/.test(name)) continue
      const free = name === "position_embd.weight" || name === "token_embd.weight"
      for (const dimension of free ? [0] : shape.map((_, i) => i)) {
        const changed = shape.map((length, i) => (i === dimension ? length + 1 : length))
        const tensors = gguf.tensors.with(index, { ...gguf.tensors[index]!, shape: changed })
        const error = await Effect.runPromise(Effect.flip(described({ ...gguf, tensors })))
        expect(error).toMatchObject({
          _tag: "InvalidModel",
          tensor: name,
          actual: `[${changed.join(", ").replace(/, 1$/, "")}]`
        })
      }
    }
  })

  test(`describeModel() refuses ${family} with a tensor that it would leave out of the computation`, async () => {
    const gguf = tinyModel({ family, seed: 1 })
    const stray = { name: "blk.0.ffn_post_norm.weight", type: "F32", shape: [64], chunks: () => [] } as const
    const error = await Effect.runPromise(Effect.flip(described({ ...gguf, tensors: [...gguf.tensors, stray] })))
    expect(error._tag).toBe("UnsupportedFeature")
    expect(error.message).toContain("blk.0.ffn_post_norm.weight")
  })

  test(`describeModel() takes ffn_down_t of ${family} as rows by neuron`, async () => {
    const { blocks } = await describeTiny({ family, downByNeuron: true })
    expect(blocks[0]!.down).toMatchObject({ layout: "by_neuron", weight: { shape: [64, 96] } })
    if (family === "opt") expect(blocks[0]!.down.bias?.name).toBe("blk.0.ffn_down_t.bias")
  })

  test(`describeModel() takes the activation of ${family} from hidden_activation, before the magic`, async () => {
    const active = ({ shape }: Awaited<ReturnType<typeof describeTiny>>) =>
      shape.gated ? shape.gateActivation : shape.upActivation
    expect(active(await describeTiny({ family, magic: "PWRI" }))).toBe("relu")
    expect(active(await describeTiny({ family, magic: "PWRI", activation: "silu" }))).toBe("silu")
    const squared = await describeTiny({ family, activation: "relu_squared" })
    expect([active(squared), squared.sparse]).toEqual(["relu_squared", true])
    expect((await describeTiny({ family, activation: "gelu" })).sparse).toBe(false)
  })
}

test("describeModel() refuses an unknown architecture and names the known ones", async () => {
  const metadata: ReadonlyArray<MetadataRow> = [["general.architecture", "string", "mamba"]]
  const error = await errorOf({ metadata })
  expect(error).toBeInstanceOf(UnsupportedArchitecture)
  expect(error.message).toContain('"mamba"')
  for (const family of families) expect(error.message).toContain(family)
})

const refused: ReadonlyArray<readonly [family: TinyFamily, named: string, row: MetadataRow]> = [
  ["llama", 'rope scaling of the type "yarn"', ["llama.rope.scaling.type", "string", "yarn"]],
  ["llama", "sliding attention window of 64", ["llama.attention.sliding_window", "u32", 64]],
  ["llama", "llama.expert_count = 8", ["llama.expert_count", "u32", 8]],
  ["llama", "attention to later tokens", ["llama.attention.causal", "bool", false]],
  ["llama", "llama.logit_scale = 0.5", ["llama.logit_scale", "f32", 0.5]],
  ["llama", 'hidden activation "swish"', ["llama.hidden_activation", "string", "swish"]],
  ["qwen3", "values of width 8 beside keys of width 16", ["qwen3.attention.value_length", "u32", 8]],
  ["falcon", "falcon.attention.max_alibi_bias = 8", ["falcon.attention.max_alibi_bias", "f32", 8]],
  ["falcon", 'layout "grouped"', ["falcon.tensor_data_layout", "string", "grouped"]],
  ["opt", "embeddings of width 32", ["opt.word_embed_proj_dim", "u32", 32]],
  ["opt", "norms after the blocks", ["opt.do_layer_norm_before", "bool", false]],
  ["smallthinker", "32 experts", ["smallthinker.expert_count", "u32", 32]],
  ["smallthinker", "blocks without rope", ["smallthinker.attention.sliding_window", "u32", 4096]],
  ["smallthinker", "experts weighted by 2.5", ["smallthinker.expert_weights_scale", "f32", 2.5]]
]

for (const [family, named, row] of refused) {
  test(`describeModel() refuses ${row[0]} = ${String(row[2])} as an unsupported feature`, async () => {
    const error = await errorOf({ family, metadata: [row] })
    expect(error._tag).toBe("UnsupportedFeature")
    expect(error.message).toContain(named)
  })
}

const accepted: ReadonlyArray<MetadataRow> = [
  ["llama.attention.sliding_window", "u32", 128],
  ["llama.rope.scaling.type", "string", "none"],
  ["llama.expert_count", "u32", 0],
  ["llama.logit_scale", "f32", 1],
  ["llama.attention.max_alibi_bias", "f32", 0]
]

for (const row of accepted) {
  test(`describeModel() accepts ${row[0]} = ${String(row[2])}, which changes nothing`, async () => {
    expect((await describeTiny({ metadata: [row] })).shape).toEqual((await describeTiny({})).shape)
  })
}

const invalid: ReadonlyArray<MetadataRow> = [
  ["llama.attention.head_count_kv", "u32", 3],
  ["llama.attention.head_count", "u32", 6],
  ["llama.block_count", "u32", 0],
  ["llama.embedding_length", "u32", 0],
  ["llama.rope.dimension_count", "u32", 15],
  ["llama.rope.dimension_count", "u32", 18],
  ["llama.rope.freq_base", "f32", -1],
  ["llama.rope.scaling.factor", "f32", -2],
  ["llama.feed_forward_length", "u32[]", Uint32Array.of(96, 96)]
]

for (const row of invalid) {
  test(`describeModel() refuses ${row[0]} = ${String(row[2])} as invalid metadata`, async () => {
    expect(await errorOf({ metadata: [row] })).toMatchObject({ _tag: "InvalidMetadata", key: row[0] })
  })
}

test("describeModel() divides positions by a linear scaling factor, under its old name too", async () => {
  for (const key of ["llama.rope.scaling.factor", "llama.rope.scale_linear"]) {
    const { shape } = await describeTiny({ metadata: [[key, "f32", 4]] })
    expect(shape.positions).toMatchObject({ linearFactor: 4 })
  }
})

test("describeModel() ends at the first missing block of a hostile block count", async () => {
  const error = await errorOf({ metadata: [["llama.block_count", "u32", 2 ** 32 - 1]] })
  expect(error).toMatchObject({ _tag: "InvalidModel", tensor: "blk.2.attn_norm.weight" })
})

test("describeModel() ties the output to the token embedding where the file has no other", async () => {
  const model = await describeTiny({ tied: true })
  expect(model.output.weight).toEqual(model.tokenEmbedding)
})

const withPredictors = (predictors: ReadonlyArray<readonly [name: string, ...shape: ReadonlyArray<number>]>) => {
  const gguf = tinyModel({ family: "llama", seed: 1, metadata: [["powerinfer.sparse_threshold", "f32", 0.5]] })
  const stored = predictors.map(
    ([name, ...shape]) => ({ name: `blk.${name}.weight`, type: "F16", shape, chunks: () => [] }) as const
  )
  return described({ ...gguf, tensors: [...gguf.tensors, ...stored] })
}

test("describeModel() finds PowerInfer's predictors beside the model, of another rank in each block", async () => {
  const model = await Effect.runPromise(
    withPredictors([
      ["0.fc1", 64, 8],
      ["0.fc2", 8, 96],
      ["1.fc1", 64, 24],
      ["1.fc2", 24, 96]
    ])
  )
  expect(model.predictors).toMatchObject([
    { rank: 8, down: { name: "blk.0.fc1.weight", shape: [64, 8] }, up: { name: "blk.0.fc2.weight", shape: [8, 96] } },
    { rank: 24, down: { shape: [64, 24] }, up: { shape: [24, 96] } }
  ])
  expect(model.sparseThreshold).toBe(0.5)
})

test("describeModel() leaves a block without a predictor undefined, and a model without any as it was", async () => {
  const model = await Effect.runPromise(
    withPredictors([
      ["1.fc1", 64, 8],
      ["1.fc2", 8, 96]
    ])
  )
  expect(model.predictors?.map((predictor) => predictor?.rank)).toEqual([undefined, 8])
  const plain = await describeTiny({})
  expect(plain).not.toHaveProperty("predictors")
  expect(plain.sparseThreshold).toBe(0)
})

test("describeModel() refuses a stored predictor that is half there, of another model, or of no block", async () => {
  const errorFrom = (...predictors: Parameters<typeof withPredictors>[0]) =>
    Effect.runPromise(Effect.flip(withPredictors(predictors)))
  const missing = await errorFrom(["0.fc1", 64, 8])
  expect(missing).toMatchObject({ tensor: "blk.0.fc2.weight", expected: "[8, 96]", actual: "missing" })
  const alone = await errorFrom(["1.fc2", 8, 96])
  expect(alone).toMatchObject({ tensor: "blk.1.fc1.weight", expected: "[64, rank]", actual: "missing" })
  const wide = await errorFrom(["0.fc1", 65, 8], ["0.fc2", 8, 96])
  expect(wide).toMatchObject({ tensor: "blk.0.fc1.weight", actual: "[65, 8]" })
  const unequal = await errorFrom(["0.fc1", 64, 8], ["0.fc2", 9, 96])
  expect(unequal).toMatchObject({ tensor: "blk.0.fc2.weight", expected: "[8, 96]", actual: "[9, 96]" })
  const foreign = await errorFrom(["0.fc1", 64, 8], ["0.fc2", 8, 97])
  expect(foreign).toMatchObject({ tensor: "blk.0.fc2.weight", actual: "[8, 97]" })
  const stray = await errorFrom(["7.fc1", 64, 8], ["7.fc2", 8, 96])
  expect(stray.message).toContain("blk.7.fc1.weight")
})

test("describeModel() refuses a sparse threshold that is no number", async () => {
  const error = await errorOf({ metadata: [["powerinfer.sparse_threshold", "f32", Number.NaN]] })
  expect(error).toMatchObject({ _tag: "InvalidMetadata", key: "powerinfer.sparse_threshold", actual: "NaN" })
})

test("describeModel() reads OPT's context from its table of positions, less the offset", async () => {
  const { shape } = await describeTiny({ family: "opt", metadata: [["opt.context_length", "u32", 130]] })
  expect(shape.contextLength).toBe(128)
})

test("describeModel() takes OPT's norms to have PyTorch's epsilon where the converter wrote none", async () => {
  const gguf = tinyModel({ family: "opt", seed: 1, shape: { kvHeadCount: 4 } })
  const metadata = gguf.metadata.filter(([key]) => !/epsilon|head_count_kv/.test(key))
  const { shape } = await Effect.runPromise(described({ ...gguf, metadata }))
  expect(shape.norm).toEqual({ kind: "layer", epsilon: 1e-5 })
  expect(shape.kvHeadCount).toBe(4)
})

test("describeModel() cuts falcon's attn_qkv into q, k and v without a gap", async () => {
  const model = await describeTiny({ family: "falcon", type: "Q8_0" })
  const fused = model.gguf.tensors.get("blk.0.attn_qkv.weight")!
  const { q, k, v } = model.blocks[0]!
  expect([q, k, v].map(({ weight }) => weight.shape)).toEqual([
    [64, 64],
    [64, 32],
    [64, 32]
  ])
  expect([q, k, v].map(({ weight }) => weight.offset - fused.offset)).toEqual([0, 64 * 68, 96 * 68])
  expect(q.weight.sizeBytes + k.weight.sizeBytes + v.weight.sizeBytes).toBe(fused.sizeBytes)
  expect(new Set([q, k, v].map(({ weight }) => weight.name)).size).toBe(3)
})

test("describeModel() gives falcon's first norm to the FFN, and the second, where there is one, to the attention", async () => {
  const [one, two] = [
    await describeTiny({ family: "falcon", shape: { kvHeadCount: 1 } }),
    await describeTiny({ family: "falcon" })
  ]
  expect(one.blocks[0]!.attentionNorm).toEqual(one.blocks[0]!.ffnNorm)
  expect(two.blocks[0]!.attentionNorm.weight.name).toBe("blk.0.attn_norm_2.weight")
  expect(two.blocks[0]!.ffnNorm.weight.name).toBe("blk.0.attn_norm.weight")
})

test("openModel() describes a model on disk and fails with FileNotFound where there is none", async () => {
  const model = await Effect.runPromise(openModel("test/golden/families/qwen2.gguf"))
  expect(model.shape.family).toBe("qwen2")
  expect((await Effect.runPromise(Effect.flip(openModel("nowhere.gguf"))))._tag).toBe("FileNotFound")
})
