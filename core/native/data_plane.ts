// How does a batch run on a native device? Plain calls on buffers that were allocated before the first one.
import type { Device, DeviceProfile, FfnPartial } from "../backend.ts"
import type { Batch, HiddenRows } from "../batch.ts"
import type { ModelShape } from "../model/model.ts"
import type { NeuronSet } from "../neuron_set.ts"
import type { NativeBuffer } from "./library.ts"

/** sizeof(powerinfer_counters). */
const countersBytes = 56
/** POWERINFER_FFN_x */
const confirmFlag = 1
const startFlag = 2

/** The functions of powerinfer.h that run batches, of a model or of a plugin's device, bound to its handle. All return a status. */
export interface BatchCalls {
  embed(rows: NativeBuffer, rowCount: number): number
  attend(block: number, hidden: NativeBuffer | null): number
  /** Of devices that work beside the caller: what attend left, which it is then not asked for. Waits for that. */
  readonly hidden?: (into: NativeBuffer) => number
  /** Of devices that keep it: what `hidden` was before its norm. */
  readonly residual?: (into: NativeBuffer) => number
  activations(block: number, hidden: NativeBuffer | null, rowCount: number, into: NativeBuffer): number
  ffn(
    block: number,
    hidden: NativeBuffer | null,
    rowCount: number,
    active: NativeBuffer | null,
    flags: number,
    partial: NativeBuffer | null
  ): number
  ffnSelected(
    block: number,
    hidden: NativeBuffer | null,
    rowCount: number,
    predictor: number,
    flags: number,
    partial: NativeBuffer | null
  ): number
  /** Of devices that run predictors on their share: what the last one named for every share. */
  readonly selected?: (into: NativeBuffer) => number
  /** Of devices that compute beside the caller: returns when the FFN that was started is done. */
  readonly ffnWait?: () => number
  merge(block: number, partial: NativeBuffer | null): number
  /** Of devices that drop more than zeros where they confirm. */
  readonly thresholds?: (block: number, gate: NativeBuffer | null, activation: NativeBuffer | null) => number
  logits(rows: NativeBuffer, count: number, logits: NativeBuffer): number
  counters(counters: NativeBuffer): number
}

/** A model or a plugin's device that was opened by the native library. */
export interface NativeDevice {
  readonly name: string
  readonly calls: BatchCalls
  /** Throws if the status of a call is a failure. */
  readonly check: (call: string, status: number) => void
  readonly shape: ModelShape
  readonly rowCountMax: number
  /** The home keeps its FFN results where it merges them; any other device hands them over. */
  readonly home: boolean
  /** It runs predictors on the hidden vectors that attend left in it; else they are handed over again. */
  readonly selectsInPlace: boolean
  readonly profile?: DeviceProfile
}

/** The data plane of a native device. Calls that fail throw: every argument comes from our own code. */
export const openDataPlane = (device: NativeDevice): Omit<Device, "openCache"> => {
  const { calls, check, home, rowCountMax, shape } = device
  const { ffnWidth, hiddenWidth, vocabularySize } = shape
  const { ffnWait, selected, thresholds } = calls

  const hidden = new AttendedRows(hiddenWidth, rowCountMax, {
    values: (into) => {
      if (calls.hidden) check("powerinfer_device_hidden", calls.hidden(into))
    },
    residual: (into) => {
      if (calls.residual === undefined) return false
      check("powerinfer_residual", calls.residual(into))
      return true
    }
  })
  // f32[row_count_max, hidden_width]
  const partial = new BatchRows(hiddenWidth, home ? 0 : rowCountMax)
  const finish = (): void => {
    if (ffnWait) check("powerinfer_device_ffn_wait", ffnWait())
  }
  const started: FfnPartial = {
    wait: () => {
      finish()
      return home ? undefined : partial.values
    }
  }
  const flagsOf = (confirms: boolean): number => (confirms ? confirmFlag : 0) | (ffnWait ? startFlag : 0)
  // f32[logit_count, vocabulary_size], grown to the most logits a batch has wanted: all rows of a vocabulary of 150,000 would be a lot.
  let logits = new BatchRows(vocabularySize, 1)
  const counters = new DataView(new ArrayBuffer(countersBytes))
  counters.setUint32(0, countersBytes, true)

  /** NULL if the rows are those that `attend` left here. */
  const givenHidden = (rows: HiddenRows): Float32Array | null => {
    if (rows === hidden) return null
    requireLength("hidden rows", rows.values, rows.rowCount * hiddenWidth)
    return rows.values
  }

  return {
    name: device.name,
    embed(batch: Batch) {
      check("powerinfer_embed", calls.embed(batch.rows, batch.rowCount))
      hidden.use(batch.rowCount)
    },
    attend(_batch, block) {
      check("powerinfer_attend", calls.attend(block, calls.hidden ? null : hidden.room))
      hidden.forget()
      return hidden
    },
    activations(block, rows, into) {
      requireLength("activations", into, rows.rowCount * ffnWidth)
      check("powerinfer_activations", calls.activations(block, givenHidden(rows), rows.rowCount, into))
    },
    startFfn(block, rows, active, confirms) {
      if (active !== undefined) requireSet(active, rows.rowCount, ffnWidth)
      if (!home) partial.use(rows.rowCount)
      const words = active === undefined ? null : active.words
      const into = home ? null : partial.values
      check("powerinfer_ffn", calls.ffn(block, givenHidden(rows), rows.rowCount, words, flagsOf(confirms), into))
      return started
    },
    startSelectedFfn(block, rows, selector, confirms) {
      if (!home) partial.use(rows.rowCount)
      const into = home ? null : partial.values
      const given = givenHidden(rows) ?? (device.selectsInPlace ? null : rows.values)
      const flags = flagsOf(confirms)
      check("powerinfer_ffn_selected", calls.ffnSelected(block, given, rows.rowCount, selector.predictor, flags, into))
      return started
    },
    ...(selected && {
      readSelected: (active: NeuronSet) => check("powerinfer_device_selected", selected(active.words))
    }),
    ...(ffnWait && { asynchronous: true }),
    ...(thresholds && {
      useThresholds: (block, { gate, activation }) =>
        check("powerinfer_model_thresholds", thresholds(block, gate ?? null, activation ?? null))
    }),
    mergeFfn(block, partials) {
      for (const part of partials) {
        const values = part.wait()
        if (values !== undefined) requireLength("a partial result", values, hidden.rowCount * hiddenWidth)
        check("powerinfer_merge", calls.merge(block, values ?? null))
      }
    },
    logits(batch) {
      if (batch.logitCount > logits.rowCountMax) {
        logits = new BatchRows(vocabularySize, Math.min(rowCountMax, 2 * batch.logitCount))
      }
      logits.use(batch.logitCount)
      if (batch.logitCount > 0)
        check("powerinfer_logits", calls.logits(batch.logitRows, batch.logitCount, logits.values))
      return logits.values
    },
    counters() {
      check("powerinfer_counters_read", calls.counters(counters))
      return {
        rowCount: counters.getFloat64(8, true),
        weightBytes: counters.getFloat64(16, true),
        ffnBytes: counters.getFloat64(24, true),
        cacheBytes: counters.getFloat64(32, true),
        neuronCount: counters.getFloat64(40, true),
        neuronComputedCount: counters.getFloat64(48, true)
      }
    },
    ...(device.profile && { profile: device.profile })
  }
}

/** f32[row_count, width] in one buffer of row_count_max rows. A view of each length is made once and kept. */
class BatchRows implements HiddenRows {
  readonly width: number
  readonly rowCountMax: number
  readonly #views: Array<Float32Array> = []
  // An explicit buffer does not move when a view of it is made; a small typed array's own may.
  readonly #buffer: ArrayBuffer
  rowCount = 0
  values: Float32Array

  constructor(width: number, rowCountMax: number) {
    this.width = width
    this.rowCountMax = rowCountMax
    this.#buffer = new ArrayBuffer(4 * width * rowCountMax)
    this.values = new Float32Array(this.#buffer, 0, 0)
  }

  use(rowCount: number): void {
    if (rowCount === this.rowCount) return
    this.rowCount = rowCount
    this.values = this.#views[rowCount] ??= new Float32Array(this.#buffer, 0, rowCount * this.width)
  }
}

/** How what attend left comes out of the device. */
interface AttendedReads {
  /** Writes the rows, where attend has not. */
  readonly values: (into: Float32Array) => void
  /** False: the device keeps no such thing. */
  readonly residual: (into: Float32Array) => boolean
}

/** What attend left. It is copied out of the device when it is first asked for: a device that selects by itself keeps it, and few predictors read the residual. */
class AttendedRows implements HiddenRows {
  readonly width: number
  readonly #values: BatchRows
  readonly #residual: BatchRows
  readonly #reads: AttendedReads
  #knowsValues = false
  #knowsResidual = false

  constructor(width: number, rowCountMax: number, reads: AttendedReads) {
    this.width = width
    this.#values = new BatchRows(width, rowCountMax)
    this.#residual = new BatchRows(width, rowCountMax)
    this.#reads = reads
  }

  use(rowCount: number): void {
    this.#values.use(rowCount)
    this.#residual.use(rowCount)
  }

  /** The next attend's are others. */
  forget(): void {
    this.#knowsValues = false
    this.#knowsResidual = false
  }

  get rowCount(): number {
    return this.#values.rowCount
  }

  /** Where attend may write them. */
  get room(): Float32Array {
    return this.#values.values
  }

  get values(): Float32Array {
    if (!this.#knowsValues) {
      this.#reads.values(this.#values.values)
      this.#knowsValues = true
    }
    return this.#values.values
  }

  get residual(): Float32Array | undefined {
    if (!this.#knowsResidual) this.#knowsResidual = this.#reads.residual(this.#residual.values)
    return this.#knowsResidual ? this.#residual.values : undefined
  }
}

/** The native library cannot see how long a buffer is. */
const requireLength = (what: string, values: Float32Array, length: number): void => {
  if (values.length < length) {
    throw new RangeError(
      `Cannot pass ${what} to the device: the batch needs ${length} values, the array has ${values.length}`
    )
  }
}

const requireSet = (active: NeuronSet, rowCount: number, ffnWidth: number): void => {
  if (active.ffnWidth === ffnWidth && active.rowCount === rowCount) return
  throw new RangeError(
    `Cannot pass a neuron set to the device: it has ${active.rowCount} rows of ${active.ffnWidth} neurons, the batch ${rowCount} of ${ffnWidth}`
  )
}
