// Goal: ratios and bounds in a report are of the figures beside them, and every run has every key.
// Method: a comparison with round numbers.
import { describe, expect, test } from "bun:test"
import { type SpeedFigures, spreadOf } from "@powerinfer/core"
import { selectionBound } from "../../bench/bounds.ts"
import { compareJson, compareMarkdown, type EngineSpeed } from "../../bench/compare_report.ts"

const figures = (prefill: number, decode: number): SpeedFigures => ({
  prefillTokensPerSecond: spreadOf([prefill, prefill - 1, prefill + 2]),
  decodeTokensPerSecond: spreadOf([decode, decode + 1, decode - 2]),
  weightBytesPerToken: 9e8,
  cacheBytesPerToken: 1e8,
  activeShare: 0.25,
  bandwidthBytesPerSecond: spreadOf([2e10, 3e10, 1e10]),
  floorBytesPerToken: 1e9,
  floorTokensPerSecond: 20,
  floorRatio: decode / 20,
  bandwidthShare: 0.5
})

const engine = (
  name: string,
  role: EngineSpeed["role"],
  rates: readonly [number, number],
  bound?: number
): EngineSpeed => ({
  name,
  role,
  figures: figures(...rates),
  mappedBandwidth: spreadOf([1.5e10]),
  bound,
  otherLoad: 0.04,
  discardedCount: 1,
  disturbedCount: 0
})

const comparison = {
  file: "a.gguf",
  model: "a",
  threads: 2,
  promptTokens: 128,
  engines: [
    engine("every_neuron", "dense", [90, 16]),
    engine("llama.cpp 1.2.3", "peer", [100, 20]),
    engine("exact_gate", "sparse", [80, 24], 2)
  ]
}
const report = {
  machine: { cpu: "Z80", cores: 2 },
  settings: { tokens: 64 },
  notes: ["a.gguf is planted"],
  comparisons: [comparison]
}

const rowsOf = (markdown: string, title: string) => {
  const lines = markdown.split("\n").filter((line) => line.startsWith("|"))
  const cells = lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim())
  )
  const start = cells.findIndex((row) => row.includes(title))
  return cells.slice(start + 2, start + 5)
}

describe("compareJson()", () => {
  const [dense, peer, gate] = compareJson(report).runs

  test("gives ratios to the peer and to the dense run, and of the bound", () => {
    expect(dense).toMatchObject({ prefill_ratio_to_peer: 0.9, decode_ratio_to_peer: 0.8, decode_ratio_to_dense: null })
    expect(peer).toMatchObject({ role: "peer", prefill_ratio_to_peer: null, decode_ratio_to_peer: null, bound: null })
    expect(gate).toMatchObject({ decode_ratio_to_peer: 1.2, decode_ratio_to_dense: 1.5, bound: 2, bound_ratio: 0.75 })
  })

  test("has the same keys for every run, and what disturbed it", () => {
    expect(Object.keys(peer!)).toEqual(Object.keys(gate!))
    expect(gate).toMatchObject({
      threads: 2,
      prompt_tokens: 128,
      other_load_cores: 0.04,
      passes_discarded: 1,
      passes_disturbed: 0
    })
    expect(JSON.parse(JSON.stringify(gate))).toEqual(gate)
  })

  test("has no ratio where there is nothing to compare with", () => {
    const alone = { ...comparison, engines: [comparison.engines[2]!] }
    expect(compareJson({ ...report, comparisons: [alone] }).runs[0]).toMatchObject({
      prefill_ratio_to_peer: null,
      decode_ratio_to_peer: null,
      decode_ratio_to_dense: null,
      bound_ratio: null
    })
  })
})

describe("compareMarkdown()", () => {
  const markdown = compareMarkdown(report)

  test("prints a row an engine: rates, their range, ratios, floor and bound", () => {
    expect(rowsOf(markdown, "decode/s")).toEqual([
      [
        "a",
        "2",
        "128",
        "every_neuron",
        "90.0",
        "89.0–92.0",
        "0.90×",
        "16.0",
        "14.0–17.0",
        "0.80×",
        "80.0%",
        "–",
        "–",
        "–"
      ],
      ["a", "2", "128", "llama.cpp 1.2.3", "100", "99.0–102", "–", "20.0", "18.0–21.0", "–", "100.0%", "–", "–", "–"],
      [
        "a",
        "2",
        "128",
        "exact_gate",
        "80.0",
        "79.0–82.0",
        "0.80×",
        "24.0",
        "22.0–25.0",
        "1.20×",
        "120.0%",
        "1.50×",
        "2.00×",
        "75.0%"
      ]
    ])
  })

  test("prints the circumstances of each", () => {
    const traffic = ["20.0", "1.00 GB", "50.0%", "25.0%", "20.0 GB", "10.0 GB–30.0 GB", "15.0 GB"]
    expect(rowsOf(markdown, "floor/s")[2]).toEqual(["a", "2", "128", "exact_gate", ...traffic, "0.04", "1", "0"])
  })

  test("says where it was measured, and the notes", () => {
    expect(markdown).toContain("cpu Z80 · cores 2 · tokens 64\n")
    expect(markdown).toContain("\n- a.gguf is planted")
  })
})

describe("selectionBound()", () => {
  const gated = { tokenBytes: 100, ffnBytes: 60, ffnShare: 0.6, gateShare: 0.2 }
  const ungated = { ...gated, gateShare: 0.3 }
  const gate = { proposes: "every", confirms: true } as const

  test("of a perfect predictor is 1 / (1 − f s)", () => {
    expect(selectionBound(gated, { proposes: "some", confirms: false }, 0.1)).toBeCloseTo(1 / (1 - 0.6 * 0.9), 12)
  })

  test("of the exact gate is 1 / (1 − f 2s/3), and 1 / (1 − f s/2) where the FFN is not gated", () => {
    expect(selectionBound(gated, gate, 0.1)).toBeCloseTo(1 / (1 - (0.6 * 2 * 0.9) / 3), 12)
    expect(selectionBound(ungated, gate, 0.1)).toBeCloseTo(1 / (1 - (0.6 * 0.9) / 2), 12)
  })

  test("is not known of a dense run, nor of candidates that the gate confirms", () => {
    expect(selectionBound(gated, { proposes: "every", confirms: false }, 1)).toBeUndefined()
    expect(selectionBound(gated, { proposes: "some", confirms: true }, 0.1)).toBeUndefined()
  })
})
