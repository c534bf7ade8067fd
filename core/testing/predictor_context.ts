// How is a predictor opened and asked outside an engine?
import * as Effect from "effect/Effect"
import { Batch, type HiddenRows } from "../batch.ts"
import type { Model } from "../model/model.ts"
import type { NeuronSet } from "../neuron_set.ts"
import { discoverPlugins, projectDirectory } from "../plugin_host/discover.ts"
import { openNamedPredictor } from "../plugin_host/named_predictor.ts"
import type { NeuronSelector, OpenPredictor, PredictorContext } from "../predictor.ts"

/** Opens, for those that combine several, the predictors of the project that the tests run in. */
export const projectPredictors = (contextOf: () => Omit<PredictorContext, "openPredictor">): OpenPredictor => {
  const project = Effect.suspend(() => discoverPlugins(projectDirectory(process.cwd()) ?? process.cwd()))
  return (text) => Effect.flatMap(project, ({ plugins }) => openNamedPredictor(plugins, contextOf)(text))
}

/** A context to open a predictor with. Without a probe of one's own, activations stay as they are; `rowCountMax` is 8. */
export const predictorContext = (
  model: Model,
  given: Partial<Omit<PredictorContext, "model">> = {}
): PredictorContext => {
  const context: PredictorContext = {
    model,
    probe: { activations: () => {} },
    rowCountMax: 8,
    announce: () => {},
    openPredictor: projectPredictors(() => context),
    ...given
  }
  return context
}

/** Rows that no row went before: each begins a session of its own. No two batches have a session in common. */
export const batchOfStrangers = (rowCount: number): Batch => {
  const batch = new Batch(rowCount)
  for (let row = 0; row < rowCount; row++) batch.add(0, 0, nextCache++, true)
  return batch
}

let nextCache = 1

/** Asks a selector as an engine does: candidates of rows that no row went before, in a set that is emptied first. */
export const selectStrangers = (
  selector: NeuronSelector,
  block: number,
  hidden: HiddenRows,
  active: NeuronSet,
  batch: Batch = batchOfStrangers(hidden.rowCount)
): void => {
  active.reset(hidden.rowCount)
  selector.select(block, hidden, active, batch)
}
