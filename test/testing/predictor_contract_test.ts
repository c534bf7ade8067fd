// Goal: the contract suite of predictors, which third parties rely on, notices each way of being wrong, and finds no fault with who keeps it.
// Method: a selector that keeps the contract, and ones that differ from it in one way; the test that is to notice must fail.
import { describe, expect, test } from "bun:test"
import { openSync, readFileSync, writeFileSync } from "node:fs"
import { devNull } from "node:os"
import {
  definePlugin,
  type HiddenRows,
  type NeuronSelector,
  type NeuronSet,
  type PredictorContext,
  PredictorFailure,
  PredictorMismatch,
  type PredictorPlugin
} from "@powerinfer/core"
import { type DefineTest, openTinyModel, predictorContract, type SelectorCost } from "@powerinfer/core/testing"
import { Effect, Schema } from "effect"
import { expectKept, expectNoticed } from "./expect_noticed.ts"

const common = {
  kind: "predictor",
  name: "subject",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({})
} as const

/** Names the neurons below `ffnWidth` whose hidden value (they take turns) is positive. */
const bySign = (hidden: HiddenRows, active: NeuronSet): void => {
  for (let row = 0; row < hidden.rowCount; row++) {
    for (let neuron = 0; neuron < active.ffnWidth; neuron++) {
      if (hidden.values[row * hidden.width + (neuron % hidden.width)]! > 0) active.add(row, neuron)
    }
  }
}

const good = (changes: Partial<NeuronSelector> = {}): NeuronSelector => ({
  proposes: "some",
  confirms: false,
  exact: false,
  select: (_block, hidden, active) => bySign(hidden, active),
  ...changes
})

const plugin = (open: PredictorPlugin["open"], more: Partial<PredictorPlugin> = {}): PredictorPlugin =>
  definePlugin({ ...common, open, ...more })

const oneModel = [["tiny", openTinyModel({ family: "opt", seed: 2, shape: { ffnWidth: 75 } })]] as const
const suite = (subject: PredictorPlugin) => (define: DefineTest) =>
  predictorContract({ test: define, plugin: subject, models: oneModel })

/** Wrong in what `select` does: made anew for every opening. */
const brokenSelectors: ReadonlyArray<
  readonly [why: string, caught: RegExp, reason: RegExp, selector: () => Partial<NeuronSelector>]
> = [
  ["says neither that it is exact nor that it is not", /stays by it/, /exact/, () => ({ exact: undefined as never })],
  [
    "changes what it says of itself",
    /stays by it/,
    /opened as one that .*does not confirm.*after some calls it is one that .*, confirms/,
    () => {
      let calls = 0
      return {
        get confirms() {
          return calls > 0
        },
        select: () => void calls++
      }
    }
  ],
  [
    "throws",
    /names neurons of the block only/,
    /thrown on purpose/,
    () => ({
      select: () => {
        throw new Error("thrown on purpose")
      }
    })
  ],
  [
    "adds a neuron that there is not",
    /names neurons of the block only/,
    /Cannot add neuron 75/,
    () => ({ select: (_block, _hidden, active) => active.add(0, active.ffnWidth) })
  ],
  [
    "names neurons beyond the last by their bits",
    /names neurons of the block only|no order/,
    /at 75 or above|more than the neurons/,
    () => ({
      select: (_block, _hidden, active) => void active.words.fill(0xffffffff, 0, active.rowCount * active.wordsPerRow)
    })
  ],
  [
    "writes beyond the rows in use",
    /nothing beyond the rows/,
    /wrote beyond the 1 rows/,
    () => ({ select: (_block, _hidden, active) => void active.words.fill(1) })
  ],
  [
    "changes how many rows there are",
    /nothing beyond the rows/,
    /rowCount to 0/,
    () => ({ select: (_block, _hidden, active) => void (active.rowCount = 0) })
  ],
  [
    "writes to the hidden vectors",
    /leaves the hidden vectors/,
    /wrote 7 to value 0/,
    () => ({ select: (_block, hidden) => void (hidden.values[0] = 7) })
  ],
  [
    "looks at the hidden vectors of its first call",
    /keeps no buffer/,
    /lent in an earlier call/,
    () => {
      let kept: HiddenRows | undefined
      return { select: (_block, hidden, active) => bySign({ ...hidden, ...(kept ??= hidden) }, active) }
    }
  ],
  [
    "writes to the set of its first call",
    /keeps no buffer/,
    /wrote to the set that it was lent in an earlier call/,
    () => {
      let kept: NeuronSet | undefined
      return {
        select: (_block, hidden, active) => {
          bySign(hidden, active)
          kept ??= active
          kept.words.set(active.words.subarray(0, kept.words.length))
        }
      }
    }
  ],
  [
    "remembers the call before",
    /again and after another opening/,
    /when it sees the same rows again/,
    () => {
      let calls = 0
      return { select: (_block, _hidden, active) => active.add(0, calls++ % 2) }
    }
  ],
  [
    "looks at other rows",
    /for that row alone/,
    /row 0 of 2 gets other neurons/,
    () => ({ select: (_block, hidden, active) => active.add(0, hidden.rowCount) })
  ],
  [
    "claims to be exact and names nobody",
    /leaves out no neuron that fires/,
    /leaves out neuron \d+, whose activation is/,
    () => ({ exact: true, select: () => {} })
  ],
  [
    "makes one small object in every call",
    /allocates nothing/,
    /allocates 1 objects/,
    () => ({
      select: (_block, hidden, active) => {
        kept.last = { rows: hidden.rowCount }
        active.add(0, 0)
      }
    })
  ],
  [
    "makes a copy of the rows in every call",
    /allocates nothing/,
    /allocates \d/,
    () => ({ select: (_block, hidden, active) => bySign({ ...hidden, values: hidden.values.slice() }, active) })
  ],
  [
    "makes so much that it is collected while it is measured",
    /allocates nothing/,
    /allocates \d/,
    () => ({ select: () => void (kept.last = Array.from({ length: 20_000 }, (_, i) => ({ i }))) })
  ]
]
/** Where objects go that must not be optimized away. */
const kept: { last?: unknown } = {}

describe("predictorContract() notices a predictor that", () => {
  for (const [why, caught, reason, changes] of brokenSelectors) {
    test(why, () => expectNoticed(suite(plugin(() => Effect.sync(() => replaced(changes())))), caught, reason), 30_000)
  }
})

/** Getters stay getters. */
const replaced = (changes: Partial<NeuronSelector>): NeuronSelector =>
  Object.defineProperties(good(), Object.getOwnPropertyDescriptors(changes))

/** Wrong in how it opens, closes, or reads options. `make` is called once a suite: state in it is a module's. */
const brokenPlugins: ReadonlyArray<
  readonly [why: string, caught: RegExp, reason: RegExp, make: () => PredictorPlugin]
> = [
  [
    "opens to something that is no selector",
    /stays by it/,
    /no function select/,
    () => plugin(() => Effect.succeed({ ...good(), select: undefined as never }))
  ],
  [
    "opens differently each time",
    /after another opening/,
    /another opening names other neurons/,
    () => {
      let openings = 0
      return plugin(() =>
        Effect.sync(() => {
          const neuron = openings++ % 75
          return good({ select: (_block, _hidden, active) => active.add(0, neuron) })
        })
      )
    }
  ],
  [
    "keeps its state where all openings share it",
    /works twice at once/,
    /while another of its kind is at work/,
    () => {
      let latest = 0
      return plugin(() =>
        Effect.sync(() => {
          latest++
          return good({ select: (_block, _hidden, active) => active.add(0, latest % 75) })
        })
      )
    }
  ],
  [
    "takes the other one with it when it closes",
    /works twice at once/,
    /once another of its kind has been closed/,
    () => {
      let closed = false
      return plugin(() =>
        Effect.acquireRelease(
          Effect.sync(() => {
            closed = false
            return good({ select: (_block, _hidden, active) => active.add(0, closed ? 1 : 0) })
          }),
          () => Effect.sync(() => void (closed = true))
        )
      )
    }
  ],
  [
    "opens once only",
    /opens again/,
    /opened before/,
    () => {
      let openings = 0
      return plugin(() =>
        openings++ < 2 // The suite's bench has opened it once before.
          ? Effect.succeed(good())
          : Effect.fail(new PredictorFailure({ predictor: "subject", reason: "it was opened before" }))
      )
    }
  ],
  [
    "leaves memory behind",
    /leaves nothing behind/,
    /each opening leaves 1\d{4} bytes of live objects behind/,
    () => {
      const kept: Array<Float32Array> = []
      return plugin(() =>
        Effect.sync(() => {
          kept.push(new Float32Array(4096))
          return good()
        })
      )
    }
  ],
  [
    "leaves files open",
    /leaves nothing behind/,
    /leaves .*1 open files behind/,
    () =>
      plugin(() =>
        Effect.sync(() => {
          openSync(devNull, "r")
          return good()
        })
      )
  ],
  [
    "takes options that it does not have",
    /refuses an option/,
    /an_option_that_no_plugin_has/,
    () =>
      definePlugin({
        ...common,
        options: Schema.Record(Schema.String, Schema.Unknown),
        open: () => Effect.succeed(good())
      })
  ],
  [
    "breaks on a model of another shape",
    /another shape/,
    /not my model/,
    () =>
      plugin((_options, { model }) => {
        if (model.shape.ffnWidth !== 75) throw new Error("not my model")
        return Effect.succeed(good())
      })
  ],
  [
    "refuses a model of another shape with the wrong error",
    /another shape/,
    /with PredictorFailure .*PredictorMismatch is for that/,
    () =>
      plugin((_options, { model }) =>
        model.shape.ffnWidth === 75
          ? Effect.succeed(good())
          : Effect.fail(new PredictorFailure({ predictor: "subject", reason: "not my model" }))
      )
  ]
]

describe("predictorContract() notices a plugin that", () => {
  for (const [why, caught, reason, make] of brokenPlugins) {
    test(why, () => expectNoticed(suite(make()), caught, reason), 30_000)
  }
})

const LearnedOptions = Schema.Struct({ weights: Schema.optionalKey(Schema.String) })

type Train = NonNullable<PredictorPlugin<typeof LearnedOptions.Type>["train"]>

/** How often each neuron of each block fires. */
const learnShares: Train = (_options, { model, rows, out }) =>
  Effect.sync(() => {
    const { blockCount, ffnWidth } = model.shape
    const shares = new Float32Array(blockCount * ffnWidth)
    for (let block = 0; block < blockCount; block++) {
      let seen = 0
      for (const { activations, rowCount } of rows(block)) {
        seen += rowCount
        for (const [at, activation] of activations.entries()) {
          if (activation !== 0) shares[block * ffnWidth + (at % ffnWidth)]!++
        }
      }
      for (let neuron = 0; neuron < ffnWidth; neuron++) shares[block * ffnWidth + neuron]! /= seen
    }
    writeFileSync(out, shares)
    return { weights: out }
  })

/** Names the neurons that fired in a third of the rows it learned from. */
const learner = (train: Train = learnShares) =>
  definePlugin({
    ...common,
    options: LearnedOptions,
    train,
    open: ({ weights }: typeof LearnedOptions.Type, { model: { shape } }: PredictorContext) =>
      Effect.gen(function* () {
        if (weights === undefined)
          return yield* new PredictorFailure({ predictor: "subject", reason: "it has no weights" })
        const shares = new Float32Array(new Uint8Array(readFileSync(weights)).buffer)
        const expected = `${shares.length} neurons`
        const actual = `${shape.blockCount * shape.ffnWidth} neurons`
        if (expected !== actual) return yield* new PredictorMismatch({ predictor: "subject", expected, actual })
        return good({
          select: (block, hidden, active) => {
            for (let row = 0; row < hidden.rowCount; row++) {
              for (let neuron = 0; neuron < shape.ffnWidth; neuron++) {
                if (shares[block * shape.ffnWidth + neuron]! > 1 / 3) active.add(row, neuron)
              }
            }
          }
        })
      })
  })

const brokenLearners: ReadonlyArray<readonly [why: string, reason: RegExp, train: Train]> = [
  [
    "learns something else each time",
    /two different files/,
    (options, context) =>
      Effect.tap(learnShares(options, context), () =>
        Effect.sync(() => {
          const bytes = readFileSync(context.out)
          bytes.writeDoubleLE(Math.random(), 0)
          writeFileSync(context.out, bytes)
        })
      )
  ],
  [
    "leaves a temporary file",
    /there are first\.bin, first\.bin\.part/,
    (options, context) =>
      Effect.tap(learnShares(options, context), () => Effect.sync(() => writeFileSync(`${context.out}.part`, "")))
  ],
  [
    "writes nothing",
    /wrote nothing/,
    (options, context) => Effect.as(learnShares(options, { ...context, out: devNull }), {})
  ],
  ["throws", /cannot learn/, () => Effect.die(new Error("cannot learn"))],
  ["returns options that do not open", /no weights/, (options, context) => Effect.as(learnShares(options, context), {})]
]

describe("predictorContract() notices a predictor that learns and", () => {
  for (const [why, reason, train] of brokenLearners) {
    test(why, () => expectNoticed(suite(learner(train)), /learns the same/, reason))
  }
})

describe("predictorContract() finds no fault", () => {
  test(
    "with a selector of some lines, on both of its own models",
    () => expectKept((define) => predictorContract({ test: define, plugin: plugin(() => Effect.succeed(good())) })),
    60_000
  )

  test(
    "with one that learns, which is trained before it is checked",
    () => expectKept((define) => predictorContract({ test: define, plugin: learner() })),
    60_000
  )
})

test("predictorContract() reports what a call costs", async () => {
  const costs: Array<SelectorCost & { readonly model: string }> = []
  const subject = plugin(() => Effect.succeed(good()))
  await expectKept((define) =>
    predictorContract({ test: define, plugin: subject, models: oneModel, report: (cost) => costs.push(cost) })
  )
  expect(costs).toHaveLength(1)
  expect(costs[0]).toMatchObject({
    model: "tiny",
    bytesPerCall: 0,
    nanosecondsByBlock: [expect.any(Number), expect.any(Number)]
  })
  expect(costs[0]!.nanosecondsPerCall).toBeGreaterThan(0)
  expect(costs[0]!.neuronsPerRow).toBeWithin(1, 75)
}, 30_000)
