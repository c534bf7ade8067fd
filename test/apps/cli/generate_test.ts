// Goal: generate does what its flags say, says how, and stops at once when nobody wants more.
// Method: the real command. The reference backend is slow enough to be interrupted; the default one generates the golden text.
import { beforeAll, describe, expect, test } from "bun:test"
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"
import golden from "../../../models/relu-llama-7m/reference.json" with { type: "json" }
import { childrenOf, type CliResult, model, runAll, runCli, startCli } from "./run_cli.ts"

const prompt = "And it came to pass"
const short = ["--max-tokens", "12"]
const seeded = [...short, "--temperature", "0.9", "--seed", "7", "--json"]
const greedy = [...short, "--temperature", "0", "--json"]

const runs = {
  text: () => runCli(["generate", model, prompt, ...short, "--temperature=0"]),
  stdin: () => runCli(["generate", model, "-", ...greedy], prompt),
  seeded: () => runCli(["generate", model, prompt, ...seeded]),
  seededAgain: () => runCli(["generate", model, prompt, ...seeded]),
  otherSeed: () => runCli(["generate", model, prompt, ...seeded.map((flag) => (flag === "7" ? "8" : flag))]),
  dense: () => runCli(["generate", model, prompt, ...greedy, "--predictor", "every_neuron"]),
  exactGate: () => runCli(["generate", model, prompt, ...greedy, "--predictor", "exact_gate", "--threads", "1"]),
  oracle: () => runCli(["generate", model, prompt, ...greedy, "--predictor", "oracle_top_k:share=0.05"]),
  byPath: () =>
    runCli([
      "generate",
      model,
      prompt,
      ...greedy,
      "--predictor",
      "./plugins/predictors/oracle_top_k/mod.ts:share=0.05"
    ]),
  stop: () =>
    runCli(
      ["generate", model, prompt, ...greedy, "--stop", " to", "--max-tokens=40"].filter(
        (f) => f !== "12" && f !== "--max-tokens"
      )
    ),
  forbidden: () =>
    runCli(["generate", model, prompt, ...greedy, "--logit-bias", `${golden.prompts[0]!.greedy_ids[0]}=-Infinity`]),
  afterDashes: () => runCli(["generate", model, ...short, "--json", "--", "-x"])
} as const

let results: ReadonlyMap<keyof typeof runs, CliResult>
const resultOf = (run: keyof typeof runs) => results.get(run)!
const jsonOf = (run: keyof typeof runs) => JSON.parse(resultOf(run).stdout)

beforeAll(async () => {
  await Effect.runPromise(locateLibrary())
  results = await runAll(Object.entries(runs) as Array<[keyof typeof runs, () => Promise<CliResult>]>)
}, 600_000)

describe("powerinfer generate", () => {
  test("prints text on standard output and a line of figures on standard error", () => {
    const { code, stdout, stderr } = resultOf("text")
    expect(stdout).toBe(`${jsonOf("dense").text}\n`)
    expect(stderr).toMatch(
      /prefill 6 tokens, [\d.]+\/s · decode 12 tokens, .* of weights a token, .* of neurons active · exact · seed \d+/
    )
    expect(code).toBe(0)
  })

  test("continues the golden text", () => {
    expect(jsonOf("dense").tokens).toEqual(golden.prompts[0]!.greedy_ids.slice(0, 12))
  })

  test("reads the prompt from standard input", () => {
    expect(jsonOf("stdin").tokens).toEqual(jsonOf("dense").tokens)
  })

  test("prints one JSON object that says what was done and how", () => {
    const { text, tokens, figures, settings } = jsonOf("seeded")
    expect(text).toBeString()
    expect(tokens).toHaveLength(12)
    expect(figures).toMatchObject({ finish_reason: "max_tokens", prompt_tokens: 6, generated_tokens: 12, seed: 7 })
    expect(figures.decode_tokens_per_s).toBeGreaterThan(0)
    expect(settings.context_tokens).toBeGreaterThan(0)
    expect(settings).toMatchObject({
      model,
      predictor: { name: "exact_gate" },
      backends: [{ name: "cpu" }],
      kv_type: "f16"
    })
    expect(resultOf("seeded").stderr).not.toContain("prefill")
  })

  test("draws the same tokens with the same seed and others with another", () => {
    expect(jsonOf("seededAgain").tokens).toEqual(jsonOf("seeded").tokens)
    expect(jsonOf("otherSeed").tokens).not.toEqual(jsonOf("seeded").tokens)
  })

  test("generates with exact_gate what it generates dense, and reads less", () => {
    expect(jsonOf("exactGate").tokens).toEqual(jsonOf("dense").tokens)
    expect(jsonOf("exactGate").figures).toMatchObject({ fidelity: "exact" })
    expect(jsonOf("exactGate").figures.bytes_read_per_token).toBeLessThan(jsonOf("dense").figures.bytes_read_per_token)
    expect(jsonOf("dense").figures.weight_bytes_read_per_token).toBe(jsonOf("dense").figures.dense_bytes_per_token)
  })

  test("takes a predictor's options, by name and by path", () => {
    const { figures, settings } = jsonOf("oracle")
    expect(settings.predictor).toMatchObject({ name: "oracle_top_k", options: { share: 0.05 } })
    expect(figures).toMatchObject({ fidelity: "measured" })
    expect(figures.active_share).toBeCloseTo(0.05, 2)
    expect(jsonOf("byPath").tokens).toEqual(jsonOf("oracle").tokens)
  })

  test("ends before a stop string", () => {
    const { text, figures } = jsonOf("stop")
    expect(figures.finish_reason).toBe("stop_string")
    expect(text).not.toContain(" to")
    expect(jsonOf("dense").text).toStartWith(text)
  })

  test("never draws a token that --logit-bias forbids", () => {
    expect(jsonOf("forbidden").tokens).not.toContain(golden.prompts[0]!.greedy_ids[0])
  })

  test("takes a prompt that begins with a dash after --", () => {
    expect(jsonOf("afterDashes").figures.prompt_tokens).toBeGreaterThan(1)
  })
})

/** Reads until something has come. */
const firstOutput = async (stream: ReadableStream<Uint8Array>): Promise<ReadableStreamDefaultReader<Uint8Array>> => {
  const reader = stream.getReader()
  await reader.read()
  return reader
}

/** On a busy machine a start takes seconds. */
const processTimeoutMs = 60_000

/** Slow: some 70 tokens a second. */
const endless = ["generate", model, prompt, "--backend", "reference", "--temperature", "0"]

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143]
] as const) {
  test.skipIf(process.platform !== "linux")(
    `powerinfer generate ends within a second of ${signal}, with ${code} and no process left`,
    async () => {
      const child = startCli(endless)
      await firstOutput(child.stdout)
      const children = childrenOf(child.pid)
      const start = performance.now()
      child.kill(signal)
      expect(await child.exited).toBe(code)
      expect(performance.now() - start).toBeLessThan(1000)
      expect(children).toEqual([])
      expect(await new Response(child.stderr).text()).toBe("")
    },
    processTimeoutMs
  )
}

test(
  "powerinfer generate ends quietly when the reader of its output goes away",
  async () => {
    const child = startCli(endless)
    const reader = await firstOutput(child.stdout)
    await reader.cancel()
    expect(await child.exited).toBe(0)
    expect(await new Response(child.stderr).text()).toBe("")
  },
  processTimeoutMs
)

test(
  "powerinfer generate starts, loads and draws one token in less than a second",
  async () => {
    const times: Array<number> = []
    for (let attempt = 0; attempt < 3; attempt++) {
      const start = performance.now()
      await runCli(["generate", model, prompt, "--max-tokens", "1"])
      times.push(performance.now() - start)
    }
    expect(Math.min(...times)).toBeLessThan(1000)
  },
  processTimeoutMs
)
