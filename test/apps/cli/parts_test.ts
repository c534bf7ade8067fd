// Goal: the pieces between a command line and the engine mean what the help says.
// Method: each function directly, at its edges.
import { describe, expect, test } from "bun:test"
import { BackendFailure } from "@powerinfer/core"
import { Effect, Option } from "effect"
import { handleCtrlC, stoppable } from "../../../apps/cli/ctrl_c.ts"
import { exitCodeOf } from "../../../apps/cli/exit_code.ts"
import { figuresLine } from "../../../apps/cli/figures.ts"
import { findPlugin, readPluginText } from "../../../apps/cli/find_plugin.ts"
import { formatBytes, formatRate, formatShare } from "../../../apps/cli/quantities.ts"
import { markdownTable } from "../../../apps/cli/speed_report.ts"
import { decodeText } from "../../../apps/cli/text_input.ts"

describe("readPluginText()", () => {
  for (const [text, name, options] of [
    ["exact_gate", "exact_gate", {}],
    ["oracle_top_k:share=0.1", "oracle_top_k", { share: 0.1 }],
    ["cpu:threads=2,isa=avx2", "cpu", { threads: 2, isa: "avx2" }],
    ['mlp:{"file":"a,b.gguf","scoreMin":[0]}', "mlp", { file: "a,b.gguf", scoreMin: [0] }],
    ["./my_predictor.ts:file=x=y", "./my_predictor.ts", { file: "x=y" }],
    ["@acme/predictor-x", "@acme/predictor-x", {}],
    ["C:\\plugins\\mine.ts:on=true", "C:\\plugins\\mine.ts", { on: true }]
  ] as const) {
    test(`reads ${text}`, async () => {
      expect(await Effect.runPromise(readPluginText(text))).toEqual({ name, options })
    })
  }

  for (const text of ["oracle_top_k:share", "cpu:threads=2,isa", 'mlp:{"file":}']) {
    test(`refuses ${text}`, async () => {
      const error = await Effect.runPromise(Effect.flip(readPluginText(text)))
      expect(error._tag).toBe("InvalidUsage")
      expect(error.message).toContain(":key=value")
    })
  }
})

test("findPlugin() refuses a plugin of another kind", async () => {
  const error = await Effect.runPromise(Effect.flip(findPlugin("backend", "./plugins/predictors/exact_gate/mod.ts")))
  expect(error.message).toContain("it is a predictor; name a backend")
})

describe("decodeText()", () => {
  test("keeps every character, a byte order mark and U+FFFD included", async () => {
    const text = "\ufeffa\u0000\ufffdß漢🙂"
    expect(await Effect.runPromise(decodeText(new TextEncoder().encode(text), "x"))).toBe(text)
  })

  for (const [what, bytes, offset] of [
    ["a stray continuation byte", [0x61, 0x80], 1],
    ["an overlong form", [0xc0, 0xaf], 0],
    ["a surrogate", [0x61, 0xed, 0xa0, 0x80], 1],
    ["a character that is cut off", [0x61, 0x62, 0xe2, 0x82], 2],
    ["a byte beyond Unicode", [0xf5, 0x80, 0x80, 0x80], 0]
  ] as const) {
    test(`refuses ${what}`, async () => {
      const error = await Effect.runPromise(Effect.flip(decodeText(Uint8Array.from(bytes), "x")))
      expect(error.offset).toBe(offset)
    })
  }
})

describe("stoppable()", () => {
  test("ends on Ctrl-C without failing, and then listens no more", async () => {
    const running = Effect.runPromise(stoppable(Effect.never))
    await Bun.sleep(1)
    expect(handleCtrlC()).toBeTrue()
    expect(await running).toEqual(Option.none())
    expect(handleCtrlC()).toBeFalse()
  })

  test("gives back the result when nothing stops it", async () => {
    expect(await Effect.runPromise(stoppable(Effect.succeed(7)))).toEqual(Option.some(7))
    expect(handleCtrlC()).toBeFalse()
  })
})

describe("exitCodeOf()", () => {
  test("is 5 for a backend that cannot be used, an instruction set that this CPU lacks for one", () => {
    expect(exitCodeOf(new BackendFailure({ backend: "cpu", reason: "this CPU does not run avx512" }))).toBe(5)
  })

  test("is 1 for whatever is no error of ours", () => {
    for (const error of [new Error("x"), "x", undefined, { _tag: "toString" }]) expect(exitCodeOf(error)).toBe(1)
  })
})

test("quantities read with three digits and decimal units", () => {
  expect([0, 999, 1000, 12_345_678, 1.5e12].map(formatBytes)).toEqual(["0 B", "999 B", "1.00 kB", "12.3 MB", "1500 GB"])
  expect([0.5, 12.34, 1234.5].map(formatRate)).toEqual(["0.50", "12.3", "1235"])
  expect([0, 0.0987, 1].map(formatShare)).toEqual(["0.0%", "9.9%", "100.0%"])
})

test("markdownTable() pads its columns", () => {
  expect(
    markdownTable([
      ["name", "n"],
      ["a", "12"]
    ])
  ).toBe("| name |  n |\n|------|---:|\n| a    | 12 |")
})

test("figuresLine() leaves out the rates of a decode that did not happen", () => {
  const figures = {
    promptTokens: 3,
    promptTokensCached: 2,
    generatedTokens: 1,
    prefillSeconds: 0.5,
    decodeSeconds: 0,
    prefillTokensPerSecond: 6,
    decodeTokensPerSecond: 0,
    weightBytesPerToken: 0,
    denseBytesPerToken: 100,
    cacheBytesPerToken: 0,
    activeShare: 0,
    fidelity: "exact",
    seed: 5
  } as const
  expect(figuresLine(figures)).toBe("prefill 3 tokens (2 cached), 6.00/s · 1 token · exact · seed 5")
})
