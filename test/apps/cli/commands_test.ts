// Goal: tokenize, inspect, logits, devices and bench say what is so.
// Method: the real command beside the same question asked of the core in this process.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { evaluateTokens, fingerprintGguf, locateLibrary, readGguf } from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { reference, withPlan } from "../../support/plans.ts"
import { type CliResult, model, runAll, runCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cli-"))
const tiny = join(folder, "tiny.gguf")
const dense = join(folder, "dense.gguf")
const tokens = [1, 5, 9, 2, 300, 17, 4, 4, 30, 8]

const runs = {
  tokenize: () => runCli(["tokenize", model, "And it came </s>"]),
  tokenizeJson: () => runCli(["tokenize", model, "-", "--json"], "Grüße, 你好\n"),
  tokenizeSpecial: () => runCli(["tokenize", model, "come </s>", "--special", "--json"]),
  inspect: () => runCli(["inspect", model]),
  inspectJson: () => runCli(["inspect", model, "--json", "--tensors", "--ctx", "256", "--kv-type", "f32"]),
  inspectDense: () => runCli(["inspect", dense, "--json"]),
  inspectHuge: () => runCli(["inspect", tiny, "--json", "--ctx", "2000000000"]),
  inspectUnsuited: () => runCli(["inspect", tiny, "--json", "--kv-type", "q8_0"]),
  logits: () =>
    runCli([
      "logits",
      tiny,
      "--tokens",
      tokens.join(),
      "--out",
      join(folder, "l.f32"),
      "--backend",
      "reference",
      "--kv-type",
      "f32",
      "--batch",
      "3"
    ]),
  devices: () => runCli(["devices", "--json"]),
  devicesText: () => runCli(["devices"]),
  bench: () => runCli(["bench", model, "--json", "--prompt-tokens", "8", "--tokens", "4", "--repetitions", "2"]),
  benchText: () =>
    runCli(["bench", tiny, "--predictor", "every_neuron", "--prompt-tokens=8", "--tokens=4", "--repetitions=1"]),
  benchProfile: () =>
    runCli([
      "bench",
      tiny,
      "--predictor=every_neuron",
      "--prompt-tokens=8",
      "--tokens=4",
      "--repetitions=1",
      "--profile"
    ]),
  generateProfile: () => runCli(["generate", model, "And", "--max-tokens=3", "--seed=1", "--profile", "--json"])
} as const

let results: ReadonlyMap<keyof typeof runs, CliResult>
const resultOf = (run: keyof typeof runs) => results.get(run)!
const jsonOf = (run: keyof typeof runs) => JSON.parse(resultOf(run).stdout)

beforeAll(async () => {
  await Effect.runPromise(locateLibrary())
  await Effect.runPromise(writeTinyModel(tiny, { family: "llama", seed: 3, activation: "relu" }))
  await Effect.runPromise(writeTinyModel(dense, { family: "llama", seed: 3 }))
  results = await runAll(Object.entries(runs) as Array<[keyof typeof runs, () => Promise<CliResult>]>)
}, 600_000)
afterAll(() => rmSync(folder, { recursive: true }))

test("every command ends with 0", () => {
  for (const run of Object.keys(runs)) expect([run, resultOf(run as keyof typeof runs).code]).toEqual([run, 0])
})

describe("powerinfer tokenize", () => {
  test("prints a line a token, special tokens in the text as plain text", () => {
    const lines = resultOf("tokenize")
      .stdout.trimEnd()
      .split("\n")
      .map((line) => line.split("\t"))
    expect(lines.slice(0, 4)).toEqual([
      ["1", '"<s>"'],
      ["398", '" And"'],
      ["339", '" it"'],
      ["631", '" came"']
    ])
    expect(lines.map(([id]) => id)).not.toContain("2")
  })

  test("gives back the text it was given", () => {
    const { tokens: ids, pieces, text } = jsonOf("tokenizeJson")
    expect(text).toBe("Grüße, 你好\n")
    expect(pieces).toHaveLength(ids.length)
  })

  test("reads special tokens with --special", () => {
    expect(jsonOf("tokenizeSpecial").tokens.at(-1)).toBe(2)
  })
})

describe("powerinfer inspect", () => {
  test("shows the shape, the memory and the metadata", () => {
    const { stdout } = resultOf("inspect")
    expect(stdout).toContain("runs here: yes")
    expect(stdout).toMatch(/widths +hidden 256, ffn 1024/)
    expect(stdout).toContain('llama.hidden_activation = "relu"')
    expect(stdout).toContain('tokenizer.ggml.tokens = {"type":"string[]","length":4096}')
  })

  test("counts memory and what sparsity can bring", () => {
    const found = jsonOf("inspectJson")
    expect(found).toMatchObject({ runs: true, obstacles: [], magic: "GGUF", version: 3 })
    expect(found.model).toMatchObject({ family: "llama", block_count: 6, ffn_width: 1024, activation: "relu" })
    // Keys and values of 6 blocks, 256 positions, width 256, four bytes each.
    expect(found.memory).toMatchObject({ context_length: 256, kv_type: "f32", cache_bytes: 2 * 6 * 256 * 256 * 4 })
    expect(found.sparsity.sparse).toBeTrue()
    // Of 256 × 1024 × 3 FFN, 256 × 256 × 4 attention weights a block and 4096 × 256 outputs.
    expect(found.sparsity.ffn_share).toBeCloseTo((6 * 3 * 1024) / (6 * (3 * 1024 + 4 * 256) + 4096 + 1), 3)
    expect(found.sparsity.bound.exact_gate).toBeGreaterThan(1)
  })

  test("lists every tensor with --tensors", async () => {
    const gguf = await Effect.runPromise(readGguf(model))
    expect(jsonOf("inspectJson").tensors).toEqual(
      [...gguf.tensors.values()].map(({ name, type, shape, sizeBytes }) => ({
        name,
        type,
        shape,
        size_bytes: sizeBytes
      }))
    )
    expect(fingerprintGguf(gguf)).toHaveLength(64)
  })

  test("promises nothing where the activation is never zero", () => {
    const { sparsity } = jsonOf("inspectDense")
    expect(sparsity.sparse).toBeFalse()
    expect(sparsity.bound).toBeUndefined()
  })

  test("says why a model will not run here", () => {
    const { runs: willRun, obstacles } = jsonOf("inspectHuge")
    expect(willRun).toBeFalse()
    expect(obstacles).toEqual([expect.stringContaining("lower --ctx")])
    expect(jsonOf("inspectUnsuited").obstacles).toEqual([expect.stringContaining("use --kv-type f16")])
  })
})

describe("powerinfer logits", () => {
  test("writes what evaluateTokens computes, value for value", async () => {
    const bytes = readFileSync(join(folder, "l.f32"))
    const written = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    const backends = [reference]
    const expected = await withPlan(tiny, { backends, rowCountMax: 5 }, async (plan) => {
      const { vocabularySize } = plan.model.shape
      const all = new Float32Array(tokens.length * vocabularySize)
      const evaluate = evaluateTokens(plan, tokens, { cacheType: "f32" }, (position, logits) =>
        all.set(logits, position * vocabularySize)
      )
      await Effect.runPromise(evaluate)
      return all
    })
    expect(written.length).toBe(expected.length)
    expect(written).toEqual(expected)
    expect(expected.some((value) => value !== 0)).toBeTrue()
  })

  test("writes through a link and into a pipe, and refuses a directory", async () => {
    const [target, link] = [join(folder, "target.f32"), join(folder, "link.f32")]
    writeFileSync(target, "older")
    symlinkSync(target, link)
    const run = (out: string) => runCli(["logits", tiny, "--tokens", "1,2", "--backend", "reference", "--out", out])
    expect((await run(link)).code).toBe(0)
    expect(lstatSync(link).isSymbolicLink()).toBeTrue()
    expect(statSync(target).size).toBeGreaterThan(1000)

    // A process substitution of the shell: a pipe that must be written as it is.
    const command = ["logits", tiny, "--tokens", "1,2", "--backend", "reference", "--out"].join(" ")
    const script = `"$0" apps/cli/main.ts ${command} >(wc -c >&2) 2>/dev/null; sleep 0.2`
    const piped = Bun.spawn(["bash", "-c", `exec 3>&2; ${script.replace(">&2", ">&3")}`, process.execPath], {
      stderr: "pipe"
    })
    expect((await new Response(piped.stderr).text()).trim()).toBe(String(statSync(target).size))

    const refused = await run(folder)
    expect(refused.code).toBe(3)
    expect(refused.stderr).toContain("it is a directory")
  })

  test("leaves nothing but its file", () => {
    expect(statSync(join(folder, "l.f32")).isFile()).toBeTrue()
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([])
  })
})

describe("powerinfer devices", () => {
  test("names the cpu with instruction sets, cores, memory and bandwidth", () => {
    const [cpu] = jsonOf("devices").devices
    expect(cpu.name).toBe("cpu")
    expect(cpu.isas).toContain("scalar")
    expect(cpu.core_count).toBeGreaterThan(0)
    expect(cpu.memory_available_bytes).toBeLessThanOrEqual(cpu.memory_bytes)
    expect(cpu.bandwidth_bytes_per_s).toBeGreaterThan(1e8)
    expect(resultOf("devicesText").stdout).toMatch(/^cpu .*\n +instruction sets +scalar/)
  })
})

describe("powerinfer bench", () => {
  test("measures the default predictors, the first one's figures at the top", () => {
    const { runs: measured, settings, ...first } = jsonOf("bench")
    expect(measured.map((run: { predictor: string }) => run.predictor)).toEqual(["every_neuron", "exact_gate"])
    expect(first).toEqual(measured[0])
    for (const key of [
      "decode_tokens_per_s",
      "prefill_tokens_per_s",
      "floor_tokens_per_s",
      "bytes_read_per_token",
      "active_share"
    ]) {
      expect(first[key]).toBeGreaterThan(0)
    }
    expect(settings).toMatchObject({ prompt_tokens: 8, tokens: 4, repetitions: 2 })
  })

  test("counts the floor's bytes as what a dense run reads", () => {
    const [everyNeuron, exactGate] = jsonOf("bench").runs
    expect(everyNeuron.bytes_read_per_token).toBeCloseTo(everyNeuron.floor_bytes_per_token, 0)
    expect(everyNeuron.active_share).toBe(1)
    expect(exactGate.weight_bytes_read_per_token).toBeLessThan(everyNeuron.weight_bytes_read_per_token)
    expect(exactGate.active_share).toBeLessThan(0.5)
  })

  test("prints a table", () => {
    expect(resultOf("benchText").stdout).toMatch(/\| predictor .*\n\|-+\|.*\n\| every_neuron +\|/)
    expect(resultOf("benchText").stderr).not.toContain("ms a token")
  })
})

describe("--profile", () => {
  test("of bench shows a table a phase on standard error", () => {
    const { stderr } = resultOf("benchProfile")
    expect(stderr).toMatch(/every_neuron: prefill, 8 tokens in 1 batches\n\n\| stage .*ms a token/)
    expect(stderr).toMatch(/decode, 4 tokens in 4 batches\n\n(.*\n)+\| attention +\| +8 \|/)
  })

  test("of generate comes with the figures, and sampling is in it", () => {
    const { decode, prefill } = jsonOf("generateProfile").figures.profile
    expect(prefill.tokens).toBe(jsonOf("generateProfile").figures.prompt_tokens)
    expect(decode).toMatchObject({ tokens: 2, batches: 2 })
    const names = decode.stages.map(({ stage }: { stage: string }) => stage)
    expect(names).toContain("sample")
    expect(names.at(-1)).toBe("rest")
    const seconds = decode.stages.reduce((sum: number, stage: { seconds: number }) => sum + stage.seconds, 0)
    expect(seconds).toBeCloseTo(decode.seconds, 9)
  })
})
