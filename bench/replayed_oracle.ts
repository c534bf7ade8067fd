/**
 * A perfect predictor at no cost, for benchmarks (`--predictors ./bench/replayed_oracle.ts`): what is the most that any predictor could bring?
 *
 * The first time it sees a block's input it looks at the true activations, which costs as much as the dense gate and up, and remembers which
 * neurons fire; when the same text is run again it copies what it remembers. Text that is not repeated only gets slower, and memory grows by
 * ffn_width / 8 bytes a block and token.
 */
import { definePlugin, type HiddenRows } from "@powerinfer/core"
import { Effect, Schema } from "effect"

/** The same input has the same bits, whoever computes it next to it. 64 values tell any two inputs apart, and cost nothing beside an FFN. */
const sampledValues = 64

/** 53 bits of a row's contents (FNV-1a, twice): they stand for the token and its position, which a selector does not see. */
const fingerprint = (hidden: HiddenRows, row: number): number => {
  const step = Math.max(1, Math.floor(hidden.width / sampledValues))
  let low = 0x811c9dc5
  let high = 0x01000193
  for (let i = 0; i < hidden.width; i += step) {
    value[0] = hidden.values[row * hidden.width + i]!
    low = Math.imul(low ^ bits[0]!, 0x01000193)
    high = Math.imul(high ^ bits[0]!, 0x5bd1e995)
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0)
}

/** One float, and its bits. */
const value = new Float32Array(new ArrayBuffer(4))
const bits = new Uint32Array(value.buffer)

export default definePlugin({
  kind: "predictor",
  name: "replayed_oracle",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model, probe, rowCountMax }) =>
    Effect.sync(() => {
      const { blockCount, ffnWidth } = model.shape
      // Explicit buffer: the activations are written by native code.
      const activations = new Float32Array(new ArrayBuffer(rowCountMax * ffnWidth * 4))
      // By block and fingerprint of the input: u32[words_per_row], a row of a NeuronSet.
      const remembered = Array.from({ length: blockCount }, () => new Map<number, Uint32Array>())
      return {
        proposes: "some",
        confirms: false,
        // Those that are left out add nothing.
        exact: true,
        select: (block, hidden, active) => {
          const firing = remembered[block]!
          let looked = false
          for (let row = 0; row < hidden.rowCount; row++) {
            const key = fingerprint(hidden, row)
            const start = row * active.wordsPerRow
            const known = firing.get(key)
            if (known) {
              active.words.set(known, start)
              continue
            }
            if (!looked) probe.activations(block, hidden, activations)
            looked = true
            for (let neuron = 0; neuron < ffnWidth; neuron++) {
              if (activations[row * ffnWidth + neuron] !== 0) active.add(row, neuron)
            }
            firing.set(key, active.words.slice(start, start + active.wordsPerRow))
          }
        }
      }
    })
})
