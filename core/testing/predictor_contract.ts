// What must every predictor do?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Model } from "../model/model.ts"
import type { PredictorPlugin } from "../plugin.ts"
import { measuresAllocation } from "./allocation.ts"
import { type DefineTest, skipping } from "./assertions.ts"
import { measureSelector, type SelectorCost } from "./measure_selector.ts"
import { checkUnknownOption } from "./option_check.ts"
import { openPredictorBench, type TrainedMemory } from "./predictor_bench.ts"
import {
  checkAllocation,
  checkDeterminism,
  checkExactness,
  checkHiddenUntouched,
  checkIndependence,
  checkLeak,
  checkNothingKept,
  checkOrder,
  checkOtherShape,
  checkRange,
  checkReopening,
  checkRowsAlone,
  checkSelector,
  type PredictorCheck
} from "./predictor_checks.ts"
import { checkTraining } from "./predictor_training.ts"
import { openTinyModel } from "./tiny_model.ts"

/** What the suite is given. */
export interface PredictorUnderTest {
  readonly test: DefineTest
  readonly plugin: PredictorPlugin
  /** Default: none. */
  readonly options?: Readonly<Record<string, unknown>>
  /** Models that the predictor can serve; default: a gated and an ungated tiny ReLU model. */
  readonly models?: ReadonlyArray<readonly [name: string, model: Effect.Effect<Model, unknown, Scope.Scope>]>
  /** Is told what a call of `select` costs on each model. */
  readonly report?: (cost: SelectorCost & { readonly model: string }) => void
}

const checks: ReadonlyArray<readonly [sentence: string, check: PredictorCheck]> = [
  ["opens to a selector that says what it does and stays by it", checkSelector],
  ["names neurons of the block only, and writes nothing beyond the rows in use", checkRange],
  ["names a set, which has no order: the same neurons added backwards give the same words", checkOrder],
  ["leaves the hidden vectors as they are", checkHiddenUntouched],
  ["keeps no buffer that it was lent", checkNothingKept],
  ["names the same neurons for the same rows, again and after another opening", checkDeterminism],
  ["names for a row in a batch what it names for that row alone", checkRowsAlone],
  ["leaves out no neuron that fires, if it says that it is exact", checkExactness],
  ["works twice at once", checkIndependence],
  ["opens again after it was closed", checkReopening],
  ["leaves nothing behind when it is opened and closed many times", checkLeak],
  ["refuses a model of another shape with PredictorMismatch, or serves it", checkOtherShape]
]

/** No multiple of 32: the last word of a set has bits that belong to no neuron. */
const oddWidth = { ffnWidth: 75 }

/**
 * Defines the tests of a predictor. No backend is needed: hidden vectors are seeded random ones, normalized as an FFN's input is, and the
 * activations that they cause are computed by their formula.
 *
 * A plugin that refuses a model as it is and has `train` is trained on it first.
 */
export const predictorContract = (given: PredictorUnderTest): void => {
  const { test, plugin, options = {}, report } = given
  const { name } = plugin
  const models = given.models ?? [
    ["gated", openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: oddWidth })],
    ["ungated", openTinyModel({ family: "opt", seed: 2, shape: oddWidth })]
  ]
  test(`${name} refuses an option that it does not have`, () => Effect.runPromise(checkUnknownOption(plugin, options)))

  for (const [modelName, openModel] of models) {
    const memory: TrainedMemory = {}
    const run = (check: PredictorCheck) => () =>
      Effect.runPromise(
        Effect.scoped(
          Effect.flatMap(openModel, (model) =>
            Effect.flatMap(openPredictorBench(plugin, options, model, memory), check)
          )
        ) as Effect.Effect<void, unknown>
      )
    for (const [sentence, check] of checks) test(`${name} ${sentence} (${modelName})`, run(check))

    const ifMeasurable = measuresAllocation() ? test : skipping(test)
    ifMeasurable(`${name} allocates nothing when it selects (${modelName})`, run(checkAllocation))

    if (report !== undefined) {
      test(
        `${name} selects at a cost that is measured (${modelName})`,
        run((bench) =>
          Effect.map(bench.open(), (selector) => {
            const rows = (block: number) => bench.truth.hidden(block, 1, 15)
            report({ model: modelName, ...measureSelector({ selector, model: bench.model, rows }) })
          })
        )
      )
    }
    if (plugin.train !== undefined) {
      test(
        `${name} learns the same from the same seed, and opens with what it learned (${modelName})`,
        run((bench) => checkTraining(bench, options))
      )
    }
  }
}
