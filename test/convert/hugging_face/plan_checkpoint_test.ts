// Goal: a checkpoint of Hugging Face's becomes the same model in GGUF, or is refused with what stands in the way.
// Method: tiny models saved as transformers saves them (test/support/checkpoint_files.ts), beside the same weights by the tiny models' own
// writer: tensors byte for byte, metadata, logits by the reference backend.
import { describe, expect, test } from "bun:test"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import {
  bindPlugin,
  type Gguf,
  openModel,
  openTokenizer,
  planCheckpoint,
  readGguf,
  writeConversion,
  writeGguf
} from "@powerinfer/core"
import { largestError, openHome, runTokens, type TinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { inDirectory } from "../../gguf/fixture.ts"
import { safetensors, tinyCheckpoint, writeCheckpoint } from "../../support/checkpoint_files.ts"
import { oracle } from "../../support/plans.ts"

const run = Effect.runPromise
const backend = Effect.runSync(bindPlugin(oracle, {}))
const tokens = [1, 77, 300, 9, 14, 262, 31, 80]
const bytesOf = (gguf: Gguf, name: string): Buffer => {
  const info = gguf.tensors.get(name)!
  return readFileSync(gguf.files[info.file]!.path).subarray(info.offset, info.offset + info.sizeBytes)
}
const logitsOf = (path: string): Promise<Float32Array> =>
  Effect.gen(function* () {
    const model = yield* openModel(path)
    const home = yield* openHome(backend, model, { rowCountMax: tokens.length, sparse: false })
    return yield* runTokens(home, model, tokens, { rowCount: tokens.length })
  }).pipe(Effect.scoped, run)

type Saved = TinyModel & { readonly family: "llama" | "bamboo" | "falcon" | "opt" }
const models: Readonly<Record<string, Saved>> = {
  "llama with grouped queries": { family: "llama", seed: 2 },
  "llama, relufied and tied": { family: "llama", seed: 2, activation: "relu", tied: true },
  "llama whose heads have a width of their own": { family: "llama", seed: 2, shape: { headWidth: 24 } },
  bamboo: { family: "bamboo", seed: 2 },
  "falcon of one group, one norm (7B)": { family: "falcon", seed: 2, shape: { kvHeadCount: 1 } },
  "falcon of two groups, two norms (40B)": {
    family: "falcon",
    seed: 2,
    activation: "relu",
    shape: { headCount: 8, kvHeadCount: 2, hiddenWidth: 128 }
  },
  "opt, tied": { family: "opt", seed: 2, tied: true, shape: { kvHeadCount: 4 } },
  "opt with an output of its own": { family: "opt", seed: 2, shape: { kvHeadCount: 4 } }
}

for (const [name, model] of Object.entries(models)) {
  test(`planCheckpoint() makes of ${name} the model that it was saved from`, () =>
    inDirectory(async (path) => {
      const checkpoint = tinyCheckpoint(model)
      writeCheckpoint(path("saved"), checkpoint, model.family === "bamboo" ? 2 : 1)
      const conversion = await run(planCheckpoint(path("saved"), { type: "F32" }))
      await run(writeConversion(path("made.gguf"), conversion))
      await run(writeGguf(path("expected.gguf"), checkpoint.gguf))
      const made = await run(readGguf(path("made.gguf")))
      const expected = await run(readGguf(path("expected.gguf")))

      expect([...made.tensors.keys()].toSorted()).toEqual([...expected.tensors.keys()].toSorted())
      for (const { name, type, shape } of expected.tensors.values()) {
        expect(made.tensors.get(name)).toMatchObject({ name, type, shape })
        expect(bytesOf(made, name).equals(bytesOf(expected, name))).toBe(true)
      }
      const [ours, theirs] = [await run(openModel(path("made.gguf"))), await run(openModel(path("expected.gguf")))]
      expect(ours.shape).toEqual(theirs.shape)
      expect(ours.name).toBe("saved")
      expect(largestError(await logitsOf(path("made.gguf")), await logitsOf(path("expected.gguf")))).toBe(0)
      const text = "The king said to them"
      const tokenizer = await run(openTokenizer(made.metadata))
      expect(tokenizer.encode(text)).toEqual((await run(openTokenizer(expected.metadata))).encode(text))
    }))
}

describe("planCheckpoint", () => {
  /** The refusal of a llama whose files are changed before they are written. */
  const refusal = (
    change: Partial<Record<string, unknown>>,
    edit: (checkpoint: ReturnType<typeof tinyCheckpoint>) => Partial<ReturnType<typeof tinyCheckpoint>> = () => ({}),
    base: Saved = { family: "llama", seed: 2 }
  ) =>
    inDirectory(async (path) => {
      const checkpoint = tinyCheckpoint(base)
      const config = { ...checkpoint.config, ...change }
      writeCheckpoint(path("saved"), { ...checkpoint, config, ...edit(checkpoint) })
      return run(Effect.flip(planCheckpoint(path("saved"))))
    })

  const unsupported: ReadonlyArray<readonly [change: Record<string, unknown>, named: string, base?: Saved]> = [
    [{ architectures: ["MambaForCausalLM"] }, 'architecture is "MambaForCausalLM"'],
    [{ hidden_act: "gelu_new" }, 'activation "gelu_new"'],
    [{ hidden_act: "fatrelu" }, 'activation "fatrelu"'],
    [{ rope_scaling: { rope_type: "yarn", factor: 4 } }, 'rope scaling of the type "yarn"'],
    [{ do_layer_norm_before: false }, "norms after the blocks", { family: "opt", seed: 2, shape: { kvHeadCount: 4 } }],
    [{ word_embed_proj_dim: 32 }, "embeddings of another width", { family: "opt", seed: 2, shape: { kvHeadCount: 4 } }],
    [{ alibi: true }, "ALiBi", { family: "falcon", seed: 2 }],
    [{ bias: true }, "biases in its matrices", { family: "falcon", seed: 2 }],
    [
      { new_decoder_architecture: false, parallel_attn: false },
      "attention before the FFN",
      { family: "falcon", seed: 2, shape: { kvHeadCount: 1 } }
    ]
  ]
  for (const [change, named, base] of unsupported) {
    test(`refuses ${JSON.stringify(change)}`, async () => {
      const error = await refusal(change, undefined, base)
      expect(error._tag).toBe("ConversionImpossible")
      expect(error.message).toContain(named)
    })
  }

  test("names the tensor that is missing, has another shape, or holds no floats", async () => {
    const missing = await refusal({}, ({ saved }) => ({
      saved: saved.filter(({ name }) => !name.includes("1.mlp.up"))
    }))
    expect(missing.message).toContain("no tensor model.layers.1.mlp.up_proj.weight (96 × 64)")
    const wrong = await refusal({ intermediate_size: 48 })
    expect(wrong.message).toContain("gate_proj.weight is 96 × 64, by config.json it must be 48 × 64")
    const integers = await refusal({}, ({ saved }) => ({ saved: saved.map((each) => ({ ...each, dtype: "I32" })) }))
    expect(integers).toMatchObject({ _tag: "ConversionImpossible" })
    expect(integers.message).toContain("embed_tokens.weight is stored as I32")
    const untied = await refusal({ tie_word_embeddings: false }, ({ saved }) => ({
      saved: saved.filter(({ name }) => name !== "lm_head.weight")
    }))
    expect(untied.message).toContain("no tensor lm_head.weight")
  })

  test("refuses a tensor that it would leave out, but for buffers that follow from the shape", async () => {
    const extra = (name: string) => ({ name, dtype: "F32", shape: [4], bytes: new Uint8Array(16) })
    const error = await refusal({}, ({ saved }) => ({
      saved: [
        ...saved,
        extra("model.layers.0.self_attn.rotary_emb.inv_freq"),
        extra("model.layers.0.mlp.adapter.weight")
      ]
    }))
    expect(error.message).toContain("model.layers.0.mlp.adapter.weight has no place")
  })

  test("refuses a config.json that lacks what it must say, by the key", async () => {
    expect((await refusal({ num_hidden_layers: undefined })).message).toContain("num_hidden_layers is missing")
    expect((await refusal({ hidden_size: "64" })).message).toContain(
      'hidden_size is "64", it must be an integer above 0'
    )
    expect((await refusal({ num_key_value_heads: 3 })).message).toContain("3 keys do not go together")
    expect((await refusal({ rope_scaling: 7 })).message).toContain("rope_scaling is no JSON object")
  })

  test("ends the context at the window of the attention, and says so", () =>
    inDirectory(async (path) => {
      const checkpoint = tinyCheckpoint({ family: "llama", seed: 2 })
      const config = { ...checkpoint.config, architectures: ["MistralForCausalLM"], sliding_window: 32 }
      writeCheckpoint(path("saved"), { ...checkpoint, config })
      const conversion = await run(planCheckpoint(path("saved")))
      expect(conversion.notes.join()).toContain("32 tokens")
      await run(writeConversion(path("made.gguf"), conversion))
      const { shape } = await run(openModel(path("made.gguf")))
      expect(shape.contextLength).toBe(32)
      expect((await run(readGguf(path("made.gguf")))).tensors.get("token_embd.weight")!.type).toBe("F16")
    }))

  test("writes rope as config.json has it, in the words of old and new versions of transformers", () =>
    inDirectory(async (path) => {
      const described = async (change: object) => {
        const checkpoint = tinyCheckpoint({ family: "llama", seed: 2 })
        writeCheckpoint(path("saved"), { ...checkpoint, config: { ...checkpoint.config, ...change } })
        await run(writeConversion(path("made.gguf"), await run(planCheckpoint(path("saved")))))
        return run(openModel(path("made.gguf")))
      }
      const linear = await described({ rope_theta: 5e5, rope_scaling: { type: "linear", factor: 4 } })
      expect(linear.shape.positions).toMatchObject({ baseFrequency: 5e5, linearFactor: 4 })
      const plain = await described({ rope_parameters: { rope_type: "default", rope_theta: 2e4 } })
      expect(plain.shape.positions).toMatchObject({ baseFrequency: 2e4, linearFactor: 1 })
      const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 }
      const model = await described({ rope_scaling: { ...llama3, original_max_position_embeddings: 64 } })
      const { offset, sizeBytes } = model.ropeFactors!
      const bytes = readFileSync(path("made.gguf")).subarray(offset, offset + sizeBytes)
      const factors = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
      // By hand: 10000^(−2i/16) · 64 / 2π turns in the first context are 10.2, 3.22, 1.02, 0.32, …
      const blended = (turns: number) => 1 / ((1 - (turns - 1) / 3) / 8 + (turns - 1) / 3)
      const turns = (pair: number) => (64 * 10_000 ** (-pair / 8)) / (2 * Math.PI)
      const expected = [1, blended(turns(1)), blended(turns(2)), 8, 8, 8, 8, 8]
      for (const [i, factor] of expected.entries()) expect(factors[i]!).toBeCloseTo(factor, 5)
    }))

  test("takes biases of attention along, those of q and k in the order of their rows", () =>
    inDirectory(async (path) => {
      const checkpoint = tinyCheckpoint({ family: "llama", seed: 2 })
      const counted = (name: string, rows: number) => ({
        name: `model.layers.0.self_attn.${name}.bias`,
        dtype: "F32",
        shape: [rows],
        bytes: new Uint8Array(Float32Array.from({ length: rows }, (_, i) => i).buffer)
      })
      const saved = [...checkpoint.saved, counted("q_proj", 64), counted("v_proj", 32), counted("o_proj", 64)]
      writeCheckpoint(path("saved"), { ...checkpoint, saved })
      await run(writeConversion(path("made.gguf"), await run(planCheckpoint(path("saved")))))
      const made = await run(readGguf(path("made.gguf")))
      const bias = (name: string) => {
        const bytes = bytesOf(made, `blk.0.${name}.bias`)
        return [...new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))]
      }
      expect(bias("attn_q").slice(14, 20)).toEqual([7, 15, 16, 24, 17, 25])
      expect(bias("attn_v").slice(14, 20)).toEqual([14, 15, 16, 17, 18, 19])
      expect(bias("attn_output").length).toBe(64)
      await run(openModel(path("made.gguf")))
    }))
})

describe("a checkpoint in parts", () => {
  const failure = (break_: (path: (name: string) => string) => void) =>
    inDirectory(async (path) => {
      writeCheckpoint(path("saved"), tinyCheckpoint({ family: "llama", seed: 2 }), 2)
      break_(path)
      return run(Effect.flip(planCheckpoint(path("saved"))))
    })
  const index = "saved/model.safetensors.index.json"
  const second = "saved/model-00002-of-00002.safetensors"

  test("fails with FileNotFound where a part is missing", async () => {
    const error = await failure((path) => rmSync(path(second)))
    expect(error._tag).toBe("FileNotFound")
    expect(error.message).toContain("model-00002-of-00002.safetensors")
  })

  test("fails where the index lies, leads outside, or two parts hold the same tensor", async () => {
    const lies = await failure((path) => writeFileSync(path(second), safetensors([])))
    expect(lies.message).toContain("where weight_map puts it")
    const outside = await failure((path) =>
      writeFileSync(path(index), JSON.stringify({ weight_map: { a: "../secret.safetensors" } }))
    )
    expect(outside.message).toContain("names no file beside it")
    const twice = await failure((path) =>
      writeFileSync(path(second), readFileSync(path("saved/model-00001-of-00002.safetensors")))
    )
    expect(twice.message).toContain("lies in two parts")
  })

  test("fails where there are no weights at all", async () => {
    const error = await failure((path) => rmSync(path(index)))
    expect(error.message).toContain("neither model.safetensors nor model.safetensors.index.json")
  })
})
