// Which FFN neurons to compute for these rows.
import { type Effect, Schema, type Scope } from "effect"
import type { HiddenRows } from "./batch.ts"
import type { Model } from "./model/model.ts"
import type { NeuronSet } from "./neuron_set.ts"

/** The predictor cannot serve this model: its weights were made for another one, or it needs something the model lacks. */
export class PredictorMismatch extends Schema.TaggedError<PredictorMismatch>()("PredictorMismatch", {
  predictor: Schema.String,
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message() {
    return `Cannot open the predictor ${this.predictor}: the model has ${this.actual}, it needs ${this.expected}`
  }
}

/** True activations, computed by the home device: what oracles look at. Costs as much as the dense gate and up. */
export interface ActivationProbe {
  /** Writes f(gate · x) ⊙ g(up · x) of every neuron for every row of the current batch: f32[row_count, ffn_width]. */
  activations(block: number, hidden: HiddenRows, into: Float32Array): void
}

/**
 * An opened predictor: plain, synchronous, allocation-free. This is what the token loop calls.
 *
 * A selector *proposes* candidates; the FFN may *confirm* them by computing the gate (of an ungated FFN: up) and dropping every neuron whose
 * activation comes out as zero before its other rows are read. With a ReLU, confirming loses nothing.
 */
export interface NeuronSelector {
  /** `every`: all neurons are candidates and `select` is never called. */
  readonly proposes: "every" | "some"
  readonly confirms: boolean
  /** True if the tokens are those of the dense run: no neuron that fires is ever left out. */
  readonly exact: boolean
  /**
   * Adds the candidates of each row to `active`, which arrives empty with `rowCount` set.
   *
   * - `hidden`  f32[row_count, hidden_width], the normalized FFN input. Borrowed: never written, never kept.
   */
  select(block: number, hidden: HiddenRows, active: NeuronSet): void
}

/** What a predictor is opened with. */
export interface PredictorContext {
  readonly model: Model
  readonly probe: ActivationProbe
  /** Most rows one `select` will see: for scratch buffers. */
  readonly rowCountMax: number
}

/** Guesses which FFN neurons will fire, so that the others are never computed. */
export interface Predictor {
  readonly open: (context: PredictorContext) => Effect.Effect<NeuronSelector, PredictorMismatch, Scope.Scope>
}
