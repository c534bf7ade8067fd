// Which FFN neurons to compute for these rows.
import { Schema } from "effect"
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

/** The predictor cannot be opened for a reason of its own: weights that are missing or damaged, say. */
export class PredictorFailure extends Schema.TaggedError<PredictorFailure>()("PredictorFailure", {
  predictor: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot open the predictor ${this.predictor}: ${this.reason}`
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
  /** The same selection as native code, where it is: a device that is native too calls it without coming back here. */
  readonly native?: NativeSelector
}

/** A predictor that libpowerinfer has opened: a handle of powerinfer.h. */
export interface NativeSelector {
  readonly predictor: number
}

/** What a predictor is opened with. */
export interface PredictorContext {
  readonly model: Model
  readonly probe: ActivationProbe
  /** Most rows one `select` will see: for scratch buffers. */
  readonly rowCountMax: number
  /** One line for people: a large file being read, its place. Also a sign of life to who waits. */
  readonly announce: (line: string) => void
}

/** Consecutive rows of one block, as the dense model ran them. Borrowed: valid until the next ones are asked for. */
export interface TrainingRows {
  readonly rowCount: number
  /** The normalized FFN input: f32[row_count, hidden_width]. */
  readonly hidden: Float32Array
  /** f(gate · x) ⊙ g(up · x) of every neuron: f32[row_count, ffn_width]. */
  readonly activations: Float32Array
}

/** What a predictor is trained with. */
export interface TrainingContext {
  readonly model: Model
  /** The rows of a block in the order of the corpus; a new pass with each call. */
  readonly rows: (block: number) => Iterable<TrainingRows>
  /** Of everything that is drawn. */
  readonly seed: number
  /** The file to write. */
  readonly out: string
  readonly announce: (line: string) => void
}
