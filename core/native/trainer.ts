// How do two thin matrices learn which neurons fire? On the native library's own kernels.
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { NativeLibraryError } from "./library.ts"
import { openHandle } from "./open_handle.ts"
import { openThreads, threadSymbols } from "./open_threads.ts"
import { loadPowerinfer } from "./powerinfer.ts"
import type { NativeCallFailed } from "./status.ts"

/** scores = fc2 · g(fc1 · x) + bias */
export interface ThinMatrices {
  /** f32[rank, hidden_width] */
  readonly fc1: Float32Array
  /** f32[ffn_width, rank] */
  readonly fc2: Float32Array
  /** f32[ffn_width] */
  readonly bias: Float32Array
}

/** What is trained, and how. */
export interface TrainerOptions {
  readonly hiddenWidth: number
  readonly rank: number
  readonly ffnWidth: number
  /** g: max(0, ·), else the identity. */
  readonly relu: boolean
  /** Most rows of a step. */
  readonly rowCountMax: number
  /** AdamW's, of the matrices. */
  readonly weightDecay: number
  /** 0, the default: one a core. */
  readonly threads?: number
}

/** Rows to learn from. */
export interface TrainingData {
  readonly rowCount: number
  /** f32[row_count, hidden_width] */
  readonly hidden: Float32Array
  /** u8[row_count, ffn_width]: 0 for a neuron that was silent, else it fired, and the code says how much that counts. */
  readonly codes: Uint8Array
}

/** Two thin matrices that learn. Calls throw a RangeError where an array is too short. */
export interface Trainer {
  /** Everything is 0 before. What AdamW remembers of earlier steps stays. */
  readonly write: (matrices: ThinMatrices) => void
  readonly read: () => ThinMatrices
  /**
   * One step of AdamW on the weighted cross-entropy of some rows; returns their loss before it, the mean over rows and neurons.
   *
   * - `weights`  f32[256]: how much a code counts
   */
  readonly step: (data: TrainingData, rows: Uint32Array, weights: Float32Array, rate: number) => number
  /** Writes f32[row_count, ffn_width]. */
  readonly scores: (hidden: Float32Array, rowCount: number, into: Float32Array) => void
}

const symbols = {
  ...threadSymbols,
  powerinfer_trainer_open: { args: ["u32", "buf", "buf"], ret: "i32" },
  powerinfer_trainer_write: { args: ["u32", "u32", "buf", "u32"], ret: "i32" },
  powerinfer_trainer_read: { args: ["u32", "u32", "buf", "u32"], ret: "i32" },
  powerinfer_trainer_step: {
    args: ["u32", "buf", "buf", "u32", "buf", "u32", "buf", "f32", "buf"],
    ret: "i32"
  },
  powerinfer_trainer_scores: { args: ["u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_trainer_close: { args: ["u32"], ret: "i32" }
} as const

/** POWERINFER_TRAINER_x, in its order. */
const parts = ["fc1", "fc2", "bias"] as const

/** AdamW's usual constants, but for β2: over a few thousand steps the second moment had better follow faster than 0.999 does. */
const adamW = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 }

/**
 * Opens a trainer until the scope closes.
 *
 * - returns  the same matrices for the same steps, whatever the number of threads; instruction sets differ in rounding
 * - cost     6 · rank · (hidden_width + ffn_width) operations a row and step
 * - fails    with `NativeLibraryError`; with `NativeCallFailed` if there is no memory for it
 */
export const openTrainer = Effect.fnUntraced(function* (
  options: TrainerOptions
): Effect.fn.Return<Trainer, NativeLibraryError | NativeCallFailed, Scope.Scope> {
  const { hiddenWidth, rank, ffnWidth, rowCountMax, threads = 0 } = options
  const native = yield* loadPowerinfer(symbols)
  const { symbols: calls, check } = native
  const cpu = yield* openThreads(native, threads)
  const trainer = yield* openHandle(
    native,
    "powerinfer_trainer_open",
    (out) => calls.powerinfer_trainer_open(cpu, nativeOptions(options), out),
    (handle) => calls.powerinfer_trainer_close(handle)
  )
  const lengths = { fc1: rank * hiddenWidth, fc2: ffnWidth * rank, bias: ffnWidth }
  const loss = new Float64Array(new ArrayBuffer(8))

  return {
    write: (matrices) =>
      parts.forEach((part, number) => {
        requireLength(part, matrices[part].length, lengths[part])
        const status = calls.powerinfer_trainer_write(trainer, number, matrices[part], lengths[part])
        check("powerinfer_trainer_write", status)
      }),
    read: () => {
      const readPart = (part: (typeof parts)[number]): Float32Array => {
        const values = new Float32Array(new ArrayBuffer(4 * lengths[part]))
        const status = calls.powerinfer_trainer_read(trainer, parts.indexOf(part), values, values.length)
        check("powerinfer_trainer_read", status)
        return values
      }
      return { fc1: readPart("fc1"), fc2: readPart("fc2"), bias: readPart("bias") }
    },
    step: ({ hidden, codes, rowCount }, rows, weights, rate) => {
      requireLength("hidden", hidden.length, rowCount * hiddenWidth)
      requireLength("codes", codes.length, rowCount * ffnWidth)
      requireLength("weights", weights.length, 256)
      if (rows.length > rowCountMax)
        throw new RangeError(`Cannot train on ${rows.length} rows at once: ${rowCountMax} are the most`)
      const call = calls.powerinfer_trainer_step
      const status = call(trainer, hidden, codes, rowCount, rows, rows.length, weights, rate, loss)
      check("powerinfer_trainer_step", status)
      return loss[0]!
    },
    scores: (hidden, rowCount, into) => {
      requireLength("hidden", hidden.length, rowCount * hiddenWidth)
      requireLength("scores", into.length, rowCount * ffnWidth)
      check("powerinfer_trainer_scores", calls.powerinfer_trainer_scores(trainer, hidden, rowCount, into))
    }
  }
})

/** A powerinfer_trainer_options. */
const nativeOptions = ({ hiddenWidth, rank, ffnWidth, rowCountMax, relu, weightDecay }: TrainerOptions): DataView => {
  const view = new DataView(new ArrayBuffer(40))
  const numbers = [view.byteLength, hiddenWidth, rank, ffnWidth, rowCountMax, Number(relu)]
  numbers.forEach((number, at) => view.setUint32(4 * at, number, true))
  const reals = [adamW.beta1, adamW.beta2, adamW.epsilon, weightDecay]
  reals.forEach((real, at) => view.setFloat32(24 + 4 * at, real, true))
  return view
}

/** The native library cannot see how long a buffer is. */
const requireLength = (what: string, length: number, wanted: number): void => {
  if (length < wanted) throw new RangeError(`Cannot train: ${what} has ${length} values, ${wanted} are wanted`)
}
