// The FFN of one device: Σ over its active neurons of down[neuron] · f(gate[neuron] · x) · g(up[neuron] · x).
import type { FfnThresholds, HiddenRows, ModelShape, NeuronSet } from "@powerinfer/core"
import { activate } from "./activation.ts"
import { dotRow, type LinearWeights } from "./linear.ts"
import type { FfnWeights } from "./weights.ts"

/** What a call read: bytes count a row of weights once, however many rows of the batch used it. */
export interface FfnWork {
  readonly bytes: number
  readonly neuronComputedCount: number
}

/** Runs FFNs of one shape. Its scratch is reused by every call. */
export class FfnStage {
  readonly #gate: (x: number) => number
  readonly #up: (x: number) => number
  readonly #sum: Float64Array
  readonly #read: { readonly gate: Uint8Array; readonly up: Uint8Array; readonly down: Uint8Array }

  constructor({ hiddenWidth, ffnWidth, gateActivation, upActivation }: ModelShape) {
    this.#gate = activate[gateActivation]
    this.#up = activate[upActivation]
    this.#sum = new Float64Array(hiddenWidth)
    const perNeuron = () => new Uint8Array(ffnWidth)
    this.#read = { gate: perNeuron(), up: perNeuron(), down: perNeuron() }
  }

  /**
   * Writes the part of the output that `active` makes to `out` f32[row_count, hidden_width].
   *
   * - `active`    undefined: all neurons of all rows
   * - `confirms`  drops a neuron as soon as its activation is known to be zero, or not above its threshold, before its other rows are read
   */
  run(
    { gate, up, down }: FfnWeights,
    hidden: HiddenRows,
    active: NeuronSet | undefined,
    confirms: boolean,
    thresholds: FfnThresholds,
    out: Float32Array
  ): FfnWork {
    const { rowCount, width, values } = hidden
    const read = this.#read
    for (const neurons of [read.gate, read.up, read.down]) neurons.fill(0)
    const dense = active === undefined && !confirms
    let neuronComputedCount = 0
    const drops = (neuron: number, activation: number, limits: Float32Array | undefined) =>
      confirms && Math.abs(activation) <= (limits?.[neuron] ?? 0)
    for (let row = 0; row < rowCount; row++) {
      this.#sum.fill(0)
      for (let neuron = 0; neuron < up.rows; neuron++) {
        if (active && !active.has(row, neuron)) continue
        let activation = 1
        if (gate) {
          read.gate[neuron] = 1
          activation = this.#gate(dotRow(gate, neuron, values, row * width))
          if (drops(neuron, activation, thresholds.gate)) continue
        }
        read.up[neuron] = 1
        activation = Math.fround(activation * this.#up(dotRow(up, neuron, values, row * width)))
        if (!dense && (activation === 0 || drops(neuron, activation, thresholds.activation))) continue
        read.down[neuron] = 1
        neuronComputedCount++
        for (let i = 0; i < width; i++) this.#sum[i]! += activation * down.values[neuron * width + i]!
      }
      out.set(this.#sum, row * width)
    }
    const bytes = bytesRead(gate, read.gate) + bytesRead(up, read.up) + bytesRead(down, read.down)
    return { bytes, neuronComputedCount }
  }

  /** Writes every neuron's activation to `into` f32[row_count, ffn_width]. */
  activations({ gate, up }: FfnWeights, { rowCount, width, values }: HiddenRows, into: Float32Array): void {
    for (let row = 0; row < rowCount; row++) {
      for (let neuron = 0; neuron < up.rows; neuron++) {
        const gated = gate ? this.#gate(dotRow(gate, neuron, values, row * width)) : 1
        into[row * up.rows + neuron] = gated * this.#up(dotRow(up, neuron, values, row * width))
      }
    }
  }
}

const bytesRead = (weights: LinearWeights | undefined, neurons: Uint8Array): number => {
  if (!weights) return 0
  let count = 0
  for (const read of neurons) count += read
  return (weights.sizeBytes / neurons.length) * count
}
