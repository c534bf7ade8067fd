// How does a test get a trace of a model without profiling it?
import {
  Batch,
  type EvaluationWindow,
  identityOf,
  openForward,
  type OpenPlan,
  openTraceWriter,
  type TraceRows
} from "@powerinfer/core"
import { Effect } from "effect"

/** Every row of every window, as the dense model runs it; a window is one record batch of each block. */
export const writeTrace = Effect.fnUntraced(function* (
  path: string,
  plan: OpenPlan,
  windows: ReadonlyArray<Pick<EvaluationWindow, "tokens">>
) {
  const { blockCount, hiddenWidth, ffnWidth } = plan.model.shape
  const corpora = [{ name: "a.txt", sha256: "00" }]
  const shape = { blockCount, hiddenWidth, ffnWidth }
  const subject = { model: yield* identityOf(plan.model), ...shape, threshold: 0, corpora }
  const writer = yield* openTraceWriter(path, subject)
  const wordsPerRow = Math.ceil(ffnWidth / 32)
  for (const [window, { tokens }] of windows.entries()) {
    const cache = yield* plan.home.openCache(tokens.length, "f32")
    const rowCount = tokens.length
    const blocks = Array.from({ length: blockCount }, (): TraceRows => ({
      rowCount,
      windows: new Uint32Array(rowCount).fill(window),
      tokens: Uint32Array.from(tokens),
      positions: Uint32Array.from(tokens, (_, position) => position),
      hidden: new Float32Array(rowCount * hiddenWidth),
      activations: new Float32Array(rowCount * ffnWidth),
      active: new Uint32Array(rowCount * wordsPerRow)
    }))
    const forward = openForward({
      ...plan,
      home: {
        ...plan.home,
        attend: (batch, block) => {
          const hidden = plan.home.attend(batch, block)
          const row = batch.rows[1]!
          const rows = blocks[block]!
          rows.hidden.set(hidden.values, row * hiddenWidth)
          plan.home.activations(block, hidden, rows.activations.subarray(row * ffnWidth))
          for (let neuron = 0; neuron < ffnWidth; neuron++) {
            if (rows.activations[row * ffnWidth + neuron] === 0) continue
            rows.active[row * wordsPerRow + (neuron >>> 5)]! |= 1 << (neuron & 31)
          }
          return hidden
        }
      }
    })
    const batch = new Batch(1)
    for (const [position, token] of tokens.entries()) {
      batch.clear()
      batch.add(token, position, cache, false)
      forward(batch)
    }
    for (const [block, rows] of blocks.entries()) writer.append(block, rows)
  }
  writer.end()
}, Effect.scoped)
