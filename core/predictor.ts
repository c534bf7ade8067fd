// Which FFN neurons to compute for these rows.
import * as Schema from "effect/Schema"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Batch, HiddenRows } from "./batch.ts"
import type { Model } from "./model/model.ts"
import type { NativeLibraryError } from "./native/library.ts"
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
   * Adds the candidates of each row to `active`, which arrives empty with `rowCount` set. A row's candidates may depend on earlier rows of its own
   * cache, never on those of others.
   *
   * - `hidden`  f32[row_count, hidden_width], the normalized FFN input. Borrowed: never written, never kept.
   * - `batch`   whose rows these are: token, position and cache of each, and whether it is part of a prompt. Borrowed too.
   */
  select(block: number, hidden: HiddenRows, active: NeuronSet, batch: Batch): void
  /** The same selection as native code, where it is: a device that is native too calls it without coming back here. */
  readonly native?: NativeSelector
  /** Bytes of its own weights that one `select` reads, by block; absent: none worth counting. */
  readonly selectionBytes?: ReadonlyArray<number>
  /**
   * By block, where blocks differ: what `proposes` and `native` are there, `proposes` of the whole being "some". The engine does not call `select` where
   * every neuron is a candidate; who does gets every neuron.
   */
  readonly blocks?: ReadonlyArray<BlockSelector>
  /** By block: from which magnitudes on an activation counts, where the FFN confirms. Absent: a neuron is dropped if its activation is zero. */
  readonly thresholds?: ReadonlyArray<FfnThresholds>
}

/** How one block's neurons are named. */
export type BlockSelector = Pick<NeuronSelector, "proposes" | "native">

/** How this block's are. */
export const selectorOfBlock = (selector: NeuronSelector, block: number): BlockSelector =>
  selector.blocks?.[block] ?? selector

/** The same selector with another `select`; its native side goes, because it would not be asked. */
export const withSelect = (
  { proposes, confirms, exact, selectionBytes, blocks, thresholds }: NeuronSelector,
  select: NeuronSelector["select"]
): NeuronSelector => ({
  proposes,
  confirms,
  exact,
  ...(selectionBytes && { selectionBytes }),
  ...(blocks && { blocks: blocks.map(({ proposes: inBlock }) => ({ proposes: inBlock })) }),
  ...(thresholds && { thresholds }),
  select
})

/** The same selector with a `select` that does no more than call its own: native devices go on without it. */
export const withWrappedSelect = (selector: NeuronSelector, select: NeuronSelector["select"]): NeuronSelector => ({
  ...withSelect(selector, select),
  ...(selector.native && { native: selector.native }),
  ...(selector.blocks && { blocks: selector.blocks })
})

/**
 * What the FFN takes for zero where it confirms: a neuron is dropped if the magnitude at hand is at or below its threshold, f32[ffn_width] each. Lossy,
 * and what makes models sparse whose activation makes no zeros.
 */
export interface FfnThresholds {
  /** For |f(gate · x)|, before `up` is read; of an ungated FFN without meaning. */
  readonly gate?: Float32Array
  /** For |f(gate · x) ⊙ g(up · x)|, before `down` is read. */
  readonly activation?: Float32Array
}

/** A predictor that libpowerinfer has opened: a handle of powerinfer.h. */
export interface NativeSelector {
  readonly predictor: number
}

/** How a predictor may refuse to open. */
export type PredictorRefusal = PredictorMismatch | PredictorFailure | NativeLibraryError

/**
 * Opens another predictor for the same model: for those that combine several.
 *
 * - `text`   as on the command line: NAME, or NAME:key=value,key=value
 * - fails    with `PredictorFailure` also where there is no such plugin or its options are wrong
 */
export type OpenPredictor = (text: string) => Effect.Effect<NeuronSelector, PredictorRefusal, Scope.Scope>

/** What a predictor is opened with. */
export interface PredictorContext {
  readonly model: Model
  readonly probe: ActivationProbe
  /** Most rows one `select` will see: for scratch buffers. */
  readonly rowCountMax: number
  /** One line for people: a large file being read, its place. Also a sign of life to who waits. */
  readonly announce: (line: string) => void
  readonly openPredictor: OpenPredictor
}

/** Consecutive rows of one block, as the dense model ran them. Borrowed: valid until the next ones are asked for. */
export interface TrainingRows {
  readonly rowCount: number
  /** The normalized FFN input: f32[row_count, hidden_width]. */
  readonly hidden: Float32Array
  /** f(gate · x) ⊙ g(up · x) of every neuron: f32[row_count, ffn_width]. */
  readonly activations: Float32Array
}

/**
 * Where training keeps finished pieces, a block's weights say, so that one that was ended goes on instead of beginning again.
 *
 * Pieces are those of the same model, rows, seed and options, or there are none; they are dropped when training is complete. What comes out must be
 * the same with them and without.
 */
export interface TrainingCheckpoint {
  /** The piece of this name as it was written; undefined: there is none. Names are letters, digits, ".", "_" and "-". */
  readonly read: (name: string) => Uint8Array<ArrayBuffer> | undefined
  /** Keeps a piece, whole or not at all. Throws what the system says. */
  readonly write: (name: string, bytes: Uint8Array) => void
}

/** What a predictor is trained with. */
export interface TrainingContext {
  readonly model: Model
  /** The rows of a block in the order of the corpus; a new pass with each call. Passes over several blocks may go on at once. */
  readonly rows: (block: number) => Iterable<TrainingRows>
  /** Rows of one pass; the same rows of every block, in the same order. */
  readonly rowCount: number
  /** Of everything that is drawn. */
  readonly seed: number
  /** The file to write. */
  readonly out: string
  readonly announce: (line: string) => void
  readonly openPredictor: OpenPredictor
  /** Absent: nothing is kept, and training that is ended begins again. */
  readonly checkpoint?: TrainingCheckpoint
}
