// Goal: native plugins run under the engine as their contract says, directly where the device is native too; one that is wrong is named.
// Method: the C and C++ plugins of native/test/plugins, compiled here in every variant, against their definitions in plain TypeScript and
// against our own devices.
import { afterAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import {
  evaluateTokens,
  loadPlugin,
  locateLibrary,
  type Model,
  NeuronSet,
  type OpenPlan,
  openPlan,
  type PlanOptions,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import {
  measureSelector,
  openTinyModel,
  predictorContext,
  selectStrangers,
  type TinyModel
} from "@powerinfer/core/testing"
import { Cause, Effect, Exit } from "effect"
import { compiler } from "../native/tiny_library.ts"
import { cpu, everyNeuron, has, planOptions, reference } from "../support/plans.ts"
import halves from "../support/plugins/halves.ts"

const directory = mkdtempSync(join(tmpdir(), "powerinfer-native-plugins-"))
afterAll(() => rmSync(directory, { recursive: true }))
const cxx = Bun.which("c++") ?? Bun.which("g++") ?? Bun.which("clang++")
const { path: powerinfer } = await Effect.runPromise(locateLibrary())

const compile = (command: string, ...args: ReadonlyArray<string>): void => {
  const { status, stderr } = spawnSync(command, ["-shared", "-fPIC", "-O1", ...args], { encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
}
const compiled = new Map<string, string>()
/** The C predictor, compiled with these defines. */
const predictorLibrary = (...defines: ReadonlyArray<string>): string => {
  const key = defines.join(" ")
  const library = compiled.get(key) ?? join(directory, `predictor_${compiled.size}.so`)
  if (!compiled.has(key)) {
    compile(
      compiler!,
      "-std=c11",
      ...defines.map((define) => `-D${define}`),
      "native/test/plugins/predictor.c",
      "-o",
      library
    )
  }
  compiled.set(key, library)
  return library
}

/** The functions that make a plugin, and the files they are in. */
const makers = {
  nativeThreshold: "test/support/plugins/native_threshold.ts",
  nativeDevice: "test/support/plugins/native_device.ts"
} as const

/** A module that exports the plugin with this library. */
const moduleOf = (maker: keyof typeof makers, library: string): string => {
  const path = join(directory, `${maker}_${basename(library)}.ts`)
  const from = JSON.stringify(resolve(makers[maker]))
  const made = `export default ${maker}(import.meta.url, ${JSON.stringify(library)})`
  writeFileSync(path, `import { ${maker} } from ${from}\n${made}\n`)
  return pathToFileURL(path).href
}
const threshold = (
  options: Readonly<Record<string, unknown>>,
  library = predictorLibrary()
): PluginUse<"predictor"> => ({
  kind: "predictor",
  name: "native_threshold",
  module: moduleOf("nativeThreshold", library),
  options
})

/** No multiple of 32: there are bits that belong to no neuron. `down` by neuron: every device can run it sparse as it is. */
const tiny: TinyModel = { family: "llama", seed: 5, activation: "relu", downByNeuron: true, shape: { ffnWidth: 75 } }
const tokens = [1, 40, 7, 200, 13, 99, 3]

const withTinyPlan = <A>(options: Partial<PlanOptions>, use: (plan: OpenPlan) => Effect.Effect<A, unknown>) =>
  Effect.gen(function* () {
    const model = yield* openTinyModel(tiny)
    return yield* use(yield* openPlan(model, planOptions({ sparseRowCountMax: 1000, ...options }), () => {}))
  }).pipe(Effect.scoped)

const logitsOf = (options: Partial<PlanOptions>): Promise<Float32Array> =>
  Effect.runPromise(
    withTinyPlan(options, (plan) => {
      const { vocabularySize } = plan.model.shape
      const logits = new Float32Array(tokens.length * vocabularySize)
      return Effect.as(
        evaluateTokens(plan, tokens, { cacheType: "f32", rowCount: 3 }, (position, row) =>
          logits.set(row, position * vocabularySize)
        ),
        logits
      )
    }) as Effect.Effect<Float32Array>
  )

const errorOf = async (options: Partial<PlanOptions>): Promise<Error & { readonly _tag?: string }> => {
  const run = withTinyPlan(options, (plan) => evaluateTokens(plan, tokens, { cacheType: "f32" }, () => {}))
  const exit = await Effect.runPromiseExit(run as Effect.Effect<void>)
  if (Exit.isSuccess(exit)) throw new Error("it did not fail")
  return Cause.squash(exit.cause) as Error
}

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0)

describe.skipIf(compiler === null)("a native predictor", () => {
  const select = (use: PluginUse<"predictor">, hidden: Float32Array, rowCount: number) =>
    Effect.gen(function* () {
      const model: Model = yield* openTinyModel(tiny)
      const { open } = yield* loadPlugin(use)
      const selector = yield* open(predictorContext(model))
      const active = new NeuronSet(75, 8)
      selectStrangers(selector, 1, { rowCount, width: 64, values: hidden }, active)
      return Array.from({ length: rowCount }, (_, row) =>
        Array.from({ length: 75 }, (_, neuron) => neuron).filter((neuron) => active.has(row, neuron))
      )
    }).pipe(Effect.scoped, (effect) => Effect.runPromise(effect as Effect.Effect<Array<Array<number>>>))
  const hidden = Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i))
  const above = (limit: number, row: number) =>
    Array.from({ length: 75 }, (_, n) => n).filter((n) => hidden[row * 64 + (n % 64)]! > Math.fround(limit))

  for (const parallel of [false, true]) {
    test(`names what its definition names, with its options${parallel ? ", in parallel" : ""}`, async () => {
      const named = await select(threshold({ threshold: 0.25, parallel }), hidden, 3)
      expect(named).toEqual([above(0.25, 0), above(0.25, 1), above(0.25, 2)])
      expect(named[0]!.length).toBeGreaterThan(10)
    })
  }
  test("gets the arrays of its other half", async () => {
    const [named] = await select(threshold({ threshold: -2, mask: [0b1010, 0, 1] }), hidden, 1)
    expect(named).toEqual([1, 3, 64])
  })

  for (const [name, backend] of [
    ["cpu", cpu()],
    ["reference", reference]
  ] as const) {
    test.skipIf(!has("backend", name))(
      `gives the ${name} device the same logits directly and with every call checked`,
      async () => {
        const options = { backends: [backend], predictor: threshold({ threshold: 0.1 }) }
        const direct = await logitsOf(options)
        expect(await logitsOf({ ...options, checkPlugins: true })).toEqual(direct)
        const dense = await logitsOf({ backends: [backend] })
        expect(largestDifference(direct, dense)).toBeGreaterThan(1e-3)
      }
    )
  }

  test.skipIf(!has("backend", "cpu"))(
    "is called by the cpu device without coming back, and by the engine where a block is divided",
    () =>
      Effect.runPromise(
        Effect.gen(function* () {
          const predictor = threshold({ threshold: 0.1 })
          const direct = (options: Partial<PlanOptions>) =>
            withTinyPlan({ predictor, ...options }, (plan) => Effect.succeed(plan.selectedBy))
          expect(yield* direct({ backends: [cpu()] })).toEqual(["holder", "holder"])
          expect(yield* direct({ backends: [reference] })).toEqual(["engine", "engine"])
          expect(yield* direct({ backends: [cpu()], checkPlugins: true })).toEqual(["engine", "engine"])
          const divided = { backends: [cpu(), cpu({ threads: 1 })], placement: usePlugin(halves) }
          expect(yield* direct(divided)).toEqual(["engine", "engine"])
          const whole = yield* Effect.promise(() => logitsOf({ predictor, backends: [cpu()] }))
          const inHalves = yield* Effect.promise(() => logitsOf({ predictor, ...divided }))
          expect(largestDifference(whole, inHalves)).toBeLessThan(1e-4)
        }) as Effect.Effect<void>
      )
  )

  test(
    "is measured: a block's cost, and what a call costs over a built-in kernel",
    () =>
      Effect.runPromise(
        Effect.gen(function* () {
          const model = yield* openTinyModel(tiny)
          const { open } = yield* loadPlugin(threshold({ threshold: 0.1 }))
          const selector = yield* open(predictorContext(model))
          const rows = () => ({ rowCount: 1, width: 64, values: hidden.slice(0, 64) })
          const cost = measureSelector({ selector, model, rows })
          expect(cost.nanosecondsPerCall).toBeGreaterThan(0)
          expect(Number.isFinite(cost.nanosecondsOverBuiltIn)).toBe(true)
          expect(cost.neuronsPerRow).toBe(above(0.1, 0).length)
        }).pipe(Effect.scoped) as Effect.Effect<void>
      ),
    30_000
  )

  for (const [what, defines, words] of [
    ["an older ABI", ["ABI_MAJOR=0u"], /update the plugin/],
    ["a newer ABI", ["ABI_MAJOR=2u"], /update the engine/],
    ["no entry symbol", ["NO_ENTRY"], /powerinfer_plugin_entry/],
    ["a table that is too small", ["TABLE_BYTES=8u"], /struct_size/],
    ["kernels that are too small", ["KERNELS_BYTES=8u"], /struct_size/],
    ["an entry that refuses", ["REFUSES"], /refused plugin ABI/]
  ] as const) {
    test(`with ${what} is refused by name before it opens`, async () => {
      const error = await errorOf({ predictor: threshold({}, predictorLibrary(...defines)) })
      expect(error).toMatchObject({ _tag: "PluginUnavailable", kind: "predictor", name: "native_threshold" })
      expect(error.message).toMatch(words)
    })
  }
  test("whose library was never built says how to build it", async () => {
    const error = await errorOf({ predictor: threshold({}, join(directory, "nowhere.so")) })
    expect(error).toMatchObject({ _tag: "PluginUnavailable", name: "native_threshold" })
    expect(error.message).toContain("nowhere.so: there is no such file; build it in the plugin's folder: cc")
  })
  test("whose open refuses is a PredictorFailure in its own words", async () => {
    const error = await errorOf({ predictor: threshold({ open_fails: "its weights are from another planet" }) })
    expect(error).toMatchObject({ _tag: "PredictorFailure" })
    expect(error.message).toContain("its weights are from another planet")
  })
  for (const checkPlugins of [false, true]) {
    const how = checkPlugins ? " with every call checked" : ""
    test(`whose select fails is a PluginFault in its own words${how}`, async () => {
      const error = await errorOf({ predictor: threshold({ failing_block: 1 }), checkPlugins })
      expect(error).toMatchObject({ _tag: "PluginFault", kind: "predictor", name: "native_threshold", call: "select" })
    })
    test(`that names neurons beyond the last is a PluginFault${how}`, async () => {
      const error = await errorOf({ predictor: threshold({ names_beyond: true }), checkPlugins })
      expect(error).toMatchObject({ _tag: "PluginFault", kind: "predictor", name: "native_threshold", call: "select" })
      expect(error.message).toContain("at or above ffn_width 75")
    })
  }
})

describe.skipIf(cxx === null)("a native device", () => {
  const library = join(directory, "device.so")
  if (cxx !== null) {
    const rpath = `-Wl,-rpath,${dirname(powerinfer)}`
    compile(cxx, "-std=c++17", "native/test/plugins/backend.cc", powerinfer, rpath, "-o", library)
  }
  const device = (options: Readonly<Record<string, unknown>> = {}): PluginUse<"backend"> => ({
    kind: "backend",
    name: "native_device",
    module: moduleOf("nativeDevice", library),
    options
  })

  test("says what it is", async () => {
    const { backend } = await Effect.runPromise(loadPlugin(device()))
    expect(await Effect.runPromise(backend.facts())).toMatchObject({ name: "a CPU in disguise", memoryBytes: 3e9 })
  })
  for (const predictor of [everyNeuron, ...(compiler === null ? [] : [threshold({ threshold: 0.1 })])]) {
    test(`gives the logits of the reference, with ${predictor.name}`, async () => {
      const expected = await logitsOf({ backends: [reference], predictor })
      expect(largestDifference(await logitsOf({ backends: [device()], predictor }), expected)).toBeLessThan(1e-4)
      expect(
        largestDifference(await logitsOf({ backends: [device()], predictor, checkPlugins: true }), expected)
      ).toBeLessThan(1e-4)
    })
  }
  test("computes its share beside another device", async () => {
    const expected = await logitsOf({ backends: [reference] })
    for (const backends of [
      [device(), reference],
      [reference, device()]
    ]) {
      const divided = await logitsOf({ backends, placement: usePlugin(halves) })
      expect(largestDifference(divided, expected)).toBeLessThan(1e-4)
    }
  })
  test("that fails in open is a BackendFailure, and in attend a PluginFault, in its own words", async () => {
    const opening = await errorOf({ backends: [device({ fails: "open" })] })
    expect(opening).toMatchObject({ _tag: "BackendFailure" })
    expect(opening.message).toContain("was told to fail in open")
    const running = await errorOf({ backends: [device({ fails: "attend" })] })
    expect(running).toMatchObject({ _tag: "PluginFault", kind: "backend", name: "native_device", call: "attend" })
    expect(running.message).toContain("was told to fail in attend")
  })
})
