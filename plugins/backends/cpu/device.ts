// How does a batch run on the CPU? Plain calls on buffers that were allocated before the first one.
import type { Batch, Device, FfnPartial, HiddenRows, ModelShape, NeuronSet, Powerinfer } from "@powerinfer/core"
import { openProfile } from "./profile.ts"
import type { cpuSymbols } from "./symbols.ts"

/** sizeof(powerinfer_counters). */
const countersBytes = 56
/** POWERINFER_FFN_CONFIRM */
const confirmFlag = 1

/** An opened model of the native library. */
export interface NativeModel {
  readonly native: Powerinfer<typeof cpuSymbols>
  readonly handle: number
  readonly shape: ModelShape
  readonly rowCountMax: number
  /** The home keeps its FFN results where it merges them; any other device hands them over. */
  readonly home: boolean
}

/** The data plane of a device. Calls that fail throw `NativeCallFailed`: every argument comes from our own code. */
export const openDataPlane = (model: NativeModel): Omit<Device, "openCache"> => {
  const { handle, home, native, rowCountMax, shape } = model
  const { check, symbols } = native
  const { ffnWidth, hiddenWidth, vocabularySize } = shape

  const hidden = new BatchRows(hiddenWidth, rowCountMax)
  // f32[row_count_max, hidden_width]
  const partial = new BatchRows(hiddenWidth, home ? 0 : rowCountMax)
  const resident: FfnPartial = { wait: () => undefined }
  const handedOver: FfnPartial = { wait: () => partial.values }
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
    name: "cpu",
    embed(batch: Batch) {
      check("powerinfer_embed", symbols.powerinfer_embed(handle, batch.rows, batch.rowCount))
      hidden.use(batch.rowCount)
    },
    attend(_batch, block) {
      check("powerinfer_attend", symbols.powerinfer_attend(handle, block, hidden.values))
      return hidden
    },
    activations(block, rows, into) {
      requireLength("activations", into, rows.rowCount * ffnWidth)
      check(
        "powerinfer_activations",
        symbols.powerinfer_activations(handle, block, givenHidden(rows), rows.rowCount, into)
      )
    },
    startFfn(block: number, rows: HiddenRows, active: NeuronSet | undefined, confirms: boolean) {
      if (active !== undefined) requireSet(active, rows.rowCount, ffnWidth)
      if (!home) partial.use(rows.rowCount)
      const words = active === undefined ? null : active.words
      const into = home ? null : partial.values
      const flags = confirms ? confirmFlag : 0
      check(
        "powerinfer_ffn",
        symbols.powerinfer_ffn(handle, block, givenHidden(rows), rows.rowCount, words, flags, into)
      )
      return home ? resident : handedOver
    },
    mergeFfn(block, partials) {
      for (const part of partials) {
        const values = part.wait()
        if (values !== undefined) requireLength("a partial result", values, hidden.rowCount * hiddenWidth)
        check("powerinfer_merge", symbols.powerinfer_merge(handle, block, values ?? null))
      }
    },
    logits(batch) {
      if (batch.logitCount > logits.rowCountMax) {
        logits = new BatchRows(vocabularySize, Math.min(rowCountMax, 2 * batch.logitCount))
      }
      logits.use(batch.logitCount)
      if (batch.logitCount > 0) {
        check("powerinfer_logits", symbols.powerinfer_logits(handle, batch.logitRows, batch.logitCount, logits.values))
      }
      return logits.values
    },
    counters() {
      check("powerinfer_counters_read", symbols.powerinfer_counters_read(handle, counters))
      return {
        rowCount: counters.getFloat64(8, true),
        weightBytes: counters.getFloat64(16, true),
        ffnBytes: counters.getFloat64(24, true),
        cacheBytes: counters.getFloat64(32, true),
        neuronCount: counters.getFloat64(40, true),
        neuronComputedCount: counters.getFloat64(48, true)
      }
    },
    profile: openProfile(model)
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

/** The native library cannot see how long a buffer is. */
const requireLength = (what: string, values: Float32Array, length: number): void => {
  if (values.length < length) {
    throw new RangeError(
      `Cannot pass ${what} to the CPU: the batch needs ${length} values, the array has ${values.length}`
    )
  }
}

const requireSet = (active: NeuronSet, rowCount: number, ffnWidth: number): void => {
  if (active.ffnWidth === ffnWidth && active.rowCount === rowCount) return
  throw new RangeError(
    `Cannot pass a neuron set to the CPU: it has ${active.rowCount} rows of ${active.ffnWidth} neurons, the batch ${rowCount} of ${ffnWidth}`
  )
}
