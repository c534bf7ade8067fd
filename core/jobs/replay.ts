// What would a predictor have selected, and what would it cost? Asked of a trace, without running the model.
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EvaluationFigures } from "../artifacts/evaluation.ts"
import type { Trace, TraceRows } from "../artifacts/trace.ts"
import type { CacheType } from "../backend.ts"
import { Batch } from "../batch.ts"
import type { PlanOptions } from "../engine/open_plan.ts"
import { estimateMemory } from "../model/memory.ts"
import type { Model } from "../model/model.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import { NeuronSet } from "../neuron_set.ts"
import { guardSelector, openGuarded, openTimeoutsMs } from "../plugin_host/guard.ts"
import { loadPlugin } from "../plugin_host/load_plugin.ts"
import { openNamedPredictor } from "../plugin_host/named_predictor.ts"
import type { PluginIncompatible, PluginUnavailable } from "../plugin_host/plugin_error.ts"
import { PluginFault } from "../plugin_host/plugin_error.ts"
import type { PluginUse } from "../plugin.ts"
import type { ActivationProbe, NeuronSelector, PredictorRefusal } from "../predictor.ts"
import { decodedDepth } from "./evaluate.ts"
import { canJudge, countRow, emptySums, selectionFigures, type SelectionSums } from "./judge_selection.ts"

/** What a trace says about a predictor. */
export interface ReplayFigures {
  /** Rows that were judged: the second half of every window, as an evaluation scores it. */
  readonly rowCount: number
  /** Absent where thresholds on the gate decide, which a trace does not hold. */
  readonly selection: EvaluationFigures["selection"]
  /** Read a decoded token: weights, of these the predictor's own, and the KV cache at the depth at which an evaluation decodes. */
  readonly weightBytes: number
  readonly predictorBytes: number
  readonly cacheBytes: number
}

export interface ReplayOptions {
  readonly plan: Pick<PlanOptions, "known" | "rowCountMax">
  readonly cacheType: CacheType
  /** Of the intervals. */
  readonly seed: number
  readonly announce: (line: string) => void
}

/**
 * Shows a predictor the FFN inputs of a trace, as the engine would: row after row of a window, block after block, prompts first.
 *
 * - limits  inputs are halves and those of the dense run; of neurons that did not fire no activation is known
 * - fails   as opening the predictor does; with `PluginFault` where it throws, or needs what a trace has not (the residual)
 */
export const replay = Effect.fnUntraced(function* (
  trace: Trace,
  model: Model,
  use: PluginUse<"predictor">,
  options: ReplayOptions
): Effect.fn.Return<
  ReplayFigures,
  PredictorRefusal | PluginFault | PluginUnavailable | PluginIncompatible,
  Scope.Scope
> {
  const { rowCountMax } = options.plan
  const { ffnWidth } = model.shape
  // The activations of the rows at hand, for predictors that look.
  let shown: TraceRows | undefined
  let shownFrom = 0
  const probe: ActivationProbe = {
    activations: (_block, { rowCount }, into) =>
      into.set(shown!.activations.subarray(shownFrom * ffnWidth, (shownFrom + rowCount) * ffnWidth))
  }
  const context = { model, probe, rowCountMax, announce: options.announce }
  const openPredictor = openNamedPredictor(options.plan.known ?? [], () => context)
  const loaded = yield* loadPlugin(use)
  const opened = yield* openGuarded(loaded, { ...context, openPredictor }, openTimeoutsMs.predictor)
  const selector = guardSelector(use.name, opened)
  const confirms = selector.confirms && (model.sparse || selector.thresholds !== undefined)

  const judged = yield* Effect.try({
    try: () => {
      const windows = new Map<number, Array<SelectionSums>>()
      const batch = new Batch(rowCountMax)
      const active = new NeuronSet(ffnWidth, rowCountMax)
      let rowCount = 0
      eachBatch(trace, rowCountMax, lengthsOf(trace), batch, (block, rows, from) => {
        shown = rows
        shownFrom = from
        const hidden = {
          rowCount: batch.rowCount,
          width: trace.hiddenWidth,
          values: rows.hidden.subarray(from * trace.hiddenWidth, (from + batch.rowCount) * trace.hiddenWidth)
        }
        const some = selector.proposes === "some"
        if (some) {
          active.reset(batch.rowCount)
          selector.select(block, hidden, active, batch)
        }
        const limits = confirms ? selector.thresholds?.[block]?.activation : undefined
        const activations = rows.activations.subarray(from * ffnWidth)
        for (let index = 0; index < batch.logitCount; index++) {
          const row = batch.logitRows[index]!
          const window = rows.windows[from + row]!
          const sums = windows.get(window) ?? emptySums(trace.blockCount)
          windows.set(window, sums)
          countRow(sums[block]!, { activations, ffnWidth, selected: some ? active : undefined, limits }, row)
          if (block === 0) rowCount++
        }
      })
      return { windows: [...windows.values()], rowCount }
    },
    catch: (cause) =>
      cause instanceof PluginFault
        ? cause
        : new PluginFault({ kind: "predictor", name: use.name, call: "select", reason: String(cause) })
  })
  const selection = selectionFigures(judged.windows, { sparse: model.sparse, seed: options.seed })
  const predictorBytes =
    selector.proposes === "some" ? (selector.selectionBytes ?? []).reduce((sum, bytes) => sum + bytes, 0) : 0
  const depth = decodedDepth(Math.max(...lengthsOf(trace).values()))
  return {
    rowCount: judged.rowCount,
    selection: canJudge({ model, selector, confirms }) ? selection : undefined,
    weightBytes: weightBytes(model, selector, confirms, selection.blocks) + predictorBytes,
    predictorBytes,
    cacheBytes: estimateMemory(model, { contextLength: depth, cacheType: options.cacheType, rowCountMax: 0 }).cacheBytes
  }
})

/** Rows of every window. */
const lengthsOf = (trace: Trace): ReadonlyMap<number, number> => {
  const lengths = new Map<number, number>()
  for (const { rowCount, windows } of trace.rows(0)) {
    for (let row = 0; row < rowCount; row++) lengths.set(windows[row]!, (lengths.get(windows[row]!) ?? 0) + 1)
  }
  return lengths
}

/** Rows that prompts and rows that decode never share a batch: the first half of a window is its prompt. */
const eachBatch = (
  trace: Trace,
  rowCountMax: number,
  lengths: ReadonlyMap<number, number>,
  batch: Batch,
  see: (block: number, rows: TraceRows, from: number) => void
): void => {
  const blocks = Array.from({ length: trace.blockCount }, (_, block) => trace.rows(block)[Symbol.iterator]())
  for (;;) {
    const together = blocks.map((block) => block.next())
    const first = together[0]!
    if (first.done === true) return
    const { rowCount, windows, tokens, positions } = first.value
    const isPrompt = (row: number) => positions[row]! < Math.floor(lengths.get(windows[row]!)! / 2)
    for (let from = 0; from < rowCount;) {
      batch.clear()
      let to = from
      while (to < rowCount && to - from < rowCountMax && isPrompt(to) === isPrompt(from)) {
        batch.add(tokens[to]!, positions[to]!, windows[to]!, !isPrompt(to), isPrompt(to))
        to++
      }
      for (const [block, { value }] of together.entries()) see(block, value as TraceRows, from)
      from = to
    }
  }
}

/** Weights of a decoded token: every matrix but the FFN's whole, and of the FFN the rows that the selection asks for. */
const weightBytes = (
  model: Model,
  selector: Pick<NeuronSelector, "proposes">,
  confirms: boolean,
  blocks: NonNullable<EvaluationFigures["selection"]>["blocks"]
): number => {
  const { tokenBytes, ffnBytes } = sparsityFacts(model)
  return model.blocks.reduce((bytes, { gate, up, down }, index) => {
    const { proposedShare, recall = 1, firedShare = 1 } = blocks[index]!
    const candidates = selector.proposes === "every" ? 1 : proposedShare
    // Confirming reads the first matrix of every candidate, and the others of those that are not dropped.
    const computed = confirms ? Math.min(proposedShare, recall * firedShare) : candidates
    const first = (gate ?? up).weight.sizeBytes
    const others = (gate ? up.weight.sizeBytes : 0) + down.weight.sizeBytes
    return bytes + first * candidates + others * computed
  }, tokenBytes - ffnBytes)
}
