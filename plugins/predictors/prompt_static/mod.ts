/** Chooses the neurons of an answer once, from the prompt: those that were strongest while it was read. */
import {
  addLargest,
  CacheSlots,
  definePlugin,
  NeuronSet,
  type NeuronSelector,
  type PluginUse,
  type PredictorContext,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const defaultShare = 0.5
const defaultSessions = 16

const Options = Schema.Struct({
  share: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).annotate({
      description: `Share of a block's neurons that an answer gets, rounded up; default ${defaultShare}`
    })
  ),
  sessions: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThan(0)).annotate({
      description: `Sessions whose choice is remembered at a time; default ${defaultSessions}`
    })
  )
})

/** How much of a block an answer gets. */
export type PromptStaticOptions = typeof Options.Type

/** What is known of a session in one block. */
const Known = { nothing: 0, prompt: 1, choice: 2 } as const

/**
 * Gathers while prompt rows pass, chooses at the first row after them.
 *
 * - statistic  of a neuron: the norm over the prompt's tokens of its share of each token's activation, |z| / ‖z‖
 */
const selectorFor = (
  share: number,
  sessions: number,
  { model, probe, rowCountMax }: Pick<PredictorContext, "model" | "probe" | "rowCountMax">
): NeuronSelector => {
  const { ffnWidth, blockCount } = model.shape
  const neuronCount = Math.ceil(share * ffnWidth)
  // One of each for a block of a session.
  const known = new Uint8Array(sessions * blockCount)
  const lastPositions = new Uint32Array(sessions * blockCount)
  /** f32[sessions, block_count, ffn_width]: squares of the statistic, which order neurons as the statistic does. */
  const squares = new Float32Array(sessions * blockCount * ffnWidth)
  const chosen = new NeuronSet(ffnWidth, sessions * blockCount)
  chosen.rowCount = chosen.rowCountMax
  const slots = new CacheSlots(sessions, (slot) => {
    known.fill(Known.nothing, slot * blockCount, (slot + 1) * blockCount)
  })
  const everyNeuron = new NeuronSet(ffnWidth, 1)
  everyNeuron.rowCount = 1
  everyNeuron.fill()
  // An explicit buffer: it is written by native code.
  const activations = new Float32Array(new ArrayBuffer(rowCountMax * ffnWidth * 4))
  const magnitudes = new Float32Array(ffnWidth)
  const { wordsPerRow } = chosen

  const gather = (row: number, at: number): void => {
    const from = row * ffnWidth
    const into = at * ffnWidth
    let sum = 0
    for (let neuron = 0; neuron < ffnWidth; neuron++) sum += activations[from + neuron]! ** 2
    if (sum === 0) return
    for (let neuron = 0; neuron < ffnWidth; neuron++) squares[into + neuron]! += activations[from + neuron]! ** 2 / sum
  }

  const choose = (at: number): void => {
    chosen.words.fill(0, at * wordsPerRow, (at + 1) * wordsPerRow)
    addLargest(squares, at, neuronCount, magnitudes, chosen, at)
  }

  const copy = (from: NeuronSet, at: number, active: NeuronSet, row: number): void => {
    for (let word = 0; word < wordsPerRow; word++) {
      active.words[row * wordsPerRow + word] = from.words[at * wordsPerRow + word]!
    }
  }

  return {
    proposes: "some",
    confirms: true,
    exact: false,
    select: (block, hidden, active, batch) => {
      if (hasPrompt(batch.prompt, hidden.rowCount)) probe.activations(block, hidden, activations)
      for (let row = 0; row < hidden.rowCount; row++) {
        const position = batch.rows[row * 3 + 1]!
        const at = slots.slotOf(batch.rows[row * 3 + 2]!) * blockCount + block
        if (position !== lastPositions[at]! + 1) known[at] = Known.nothing
        lastPositions[at] = position
        if (batch.prompt[row] === 1) {
          if (known[at] === Known.nothing) squares.fill(0, at * ffnWidth, (at + 1) * ffnWidth)
          known[at] = Known.prompt
          gather(row, at)
        } else if (known[at] === Known.prompt) {
          choose(at)
          known[at] = Known.choice
        }
        if (known[at] === Known.choice) copy(chosen, at, active, row)
        else copy(everyNeuron, 0, active, row)
      }
    }
  }
}

const hasPrompt = (prompt: Uint8Array, rowCount: number): boolean => {
  for (let row = 0; row < rowCount; row++) if (prompt[row] === 1) return true
  return false
}

const plugin = definePlugin({
  kind: "predictor",
  name: "prompt_static",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: ({ share = defaultShare, sessions = defaultSessions }, context) =>
    Effect.sync(() => selectorFor(share, sessions, context))
})

export default plugin

/** The neurons of the prompt, for an engine to open. */
export const promptStatic = (options: PromptStaticOptions = {}): PluginUse<"predictor"> =>
  usePlugin(plugin, { ...options })
