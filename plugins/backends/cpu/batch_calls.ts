// Which functions of the native library run a model's batches?
import type { BatchCalls } from "@powerinfer/core"
import type { Cpu } from "./cpu.ts"

export const batchCalls = ({ native: { symbols } }: Cpu, model: number): BatchCalls => ({
  embed: (rows, rowCount) => symbols.powerinfer_embed(model, rows, rowCount),
  attend: (block, hidden) => symbols.powerinfer_attend(model, block, hidden),
  residual: (into) => symbols.powerinfer_residual(model, into),
  thresholds: (block, gate, activation) => symbols.powerinfer_model_thresholds(model, block, gate, activation),
  activations: (block, hidden, rowCount, into) => symbols.powerinfer_activations(model, block, hidden, rowCount, into),
  ffn: (block, hidden, rowCount, active, flags, partial) =>
    symbols.powerinfer_ffn(model, block, hidden, rowCount, active, flags, partial),
  ffnSelected: (block, hidden, rowCount, predictor, flags, partial) =>
    symbols.powerinfer_ffn_selected(model, block, hidden, rowCount, predictor, flags, partial),
  merge: (block, partial) => symbols.powerinfer_merge(model, block, partial),
  logits: (rows, count, logits) => symbols.powerinfer_logits(model, rows, count, logits),
  counters: (counters) => symbols.powerinfer_counters_read(model, counters)
})
