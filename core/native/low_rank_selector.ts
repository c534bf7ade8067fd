// How do two thin matrices a block become a selector?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { rowBytes, tensorTypes, type TensorTypeName } from "../gguf/tensor_type.ts"
import { type NeuronSelector, type PredictorContext, PredictorFailure } from "../predictor.ts"
import type { NativeLibraryError } from "./library.ts"
import { openNativeSelector } from "./native_selector.ts"

/** A matrix as a GGUF file has it: row after row, each whole blocks of its type. */
export interface StoredMatrix {
  readonly type: TensorTypeName
  readonly bytes: Uint8Array
}

/** One block's matrices: what it names is where `up · f(down · x) > thresholds`. */
export interface LowRankBlock {
  readonly rank: number
  /** [rank, hidden_width] */
  readonly down: StoredMatrix
  /** [ffn_width, rank], the rank rounded up to whole blocks of the type: what lies beyond it is ignored. */
  readonly up: StoredMatrix
  /** f32[ffn_width]; -Infinity names a neuron always, Infinity never. */
  readonly thresholds: Float32Array
}

/** What a low-rank predictor is made of. */
export interface LowRank {
  /** f is max(0, ·), else the identity. */
  readonly relu: boolean
  /** What x is: the normalized input of the FFN, or what that was before its norm. */
  readonly reads: "hidden" | "residual"
  /** The FFN computes the gates of what it names, and drops those that are zero. */
  readonly confirms: boolean
  readonly blocks: ReadonlyArray<LowRankBlock>
}

/** `width` in whole blocks of the type. */
export const wholeBlocks = (type: TensorTypeName, width: number): number => {
  const { blockSize } = tensorTypes[type]
  return Math.ceil(width / blockSize) * blockSize
}

/**
 * Opens a low-rank predictor on the kernels of libpowerinfer (`low_rank` in powerinfer.h) until the scope closes.
 *
 * - reads  rank × (hidden_width + ffn_width) weights and ffn_width thresholds a block: `selectionBytes`
 * - keeps  a copy of the matrices; of the types whose rows are multiplied eight at a time (Q8_0, Q4_0, Q4_K, Q6_K) two
 * - fails  with `PredictorFailure` if sizes do not fit the model; with `NativeLibraryError`
 */
export const openLowRankSelector = Effect.fnUntraced(function* (
  context: PredictorContext,
  { relu, reads, confirms, blocks }: LowRank
): Effect.fn.Return<NeuronSelector, NativeLibraryError | PredictorFailure, Scope.Scope> {
  const { blockCount, ffnWidth } = context.model.shape
  if (blocks.length !== blockCount) {
    const reason = `it has matrices for ${blocks.length} blocks, the model has ${blockCount}`
    return yield* new PredictorFailure({ predictor: "low_rank", reason })
  }
  const options: Record<string, number | boolean> = { relu, residual: reads === "residual" }
  const arrays: Record<string, Uint8Array | Float32Array> = {}
  blocks.forEach(({ rank, down, up, thresholds }, block) => {
    options[`rank.${block}`] = rank
    options[`down_type.${block}`] = tensorTypes[down.type].id
    options[`up_type.${block}`] = tensorTypes[up.type].id
    arrays[`down.${block}`] = down.bytes
    arrays[`up.${block}`] = up.bytes
    arrays[`thresholds.${block}`] = thresholds
  })
  const selector = yield* openNativeSelector({ builtin: "low_rank" }, context, { options, arrays, reads })
  const selectionBytes = blocks.map(
    ({ rank, down, up }) => down.bytes.length + ffnWidth * (rowBytes(up.type, wholeBlocks(up.type, rank)) + 4)
  )
  return { ...selector, confirms, selectionBytes }
})
