// What do a batch's buffers take of the device's memory? The sizes of native/cuda/workspace.cc, for plans that are made before anything is allocated.
import type { ModelShape, Workload } from "@powerinfer/core"
import { aligned } from "./matrix_bytes.ts"

/** As in native/cuda: kSparseRowsMax, kLogitRowsMax, kCachesMax, kDownParts, kSplitRows, kSpanPositions. */
const sparseRowsMax = 8
const logitRowsMax = 16
const cachesMax = 4096
const downParts = 16
const splitRows = 16
const spanPositions = 128
/** sizeof(powerinfer_row), CacheView and Tally. */
const [rowBytes, cacheViewBytes, tallyBytes] = [12, 16, 32]

/** f32 rows, whose stride is whole 32 floats. */
const rowsOf = (rowCount: number, width: number): number => aligned(4 * rowCount * Math.ceil(width / 32) * 32)

/** Of every device that holds neurons; of all of a block's, which is the most. */
const shareBytes = ({ hiddenWidth, ffnWidth, blockCount }: ModelShape, rowCount: number): number => {
  const partRows = Math.max(downParts * Math.min(sparseRowsMax, rowCount), rowCount)
  const words = Math.ceil(ffnWidth / 32)
  return (
    2 * rowsOf(rowCount, hiddenWidth) +
    aligned(4 * rowCount * words) +
    2 * aligned(4 * ffnWidth) +
    2 * rowsOf(rowCount, ffnWidth) +
    rowsOf(partRows, hiddenWidth) +
    4 * aligned(4) +
    blockCount * tallyBytes
  )
}

/** Of a home besides: attention, logits, and the scores of a predictor. */
const homeBytes = (shape: ModelShape, { rowCountMax, contextLength, selects }: Workload): number => {
  const { hiddenWidth, ffnWidth, headCount, kvHeadCount, headWidth, vocabularySize, positions, parallel } = shape
  const [queryWidth, keyWidth] = [headCount * headWidth, kvHeadCount * headWidth]
  const ropeWidth = positions.kind === "rope" ? positions.width : 0
  const spans = Math.ceil(contextLength / spanPositions)
  return (
    (parallel ? 4 : 3) * rowsOf(rowCountMax, hiddenWidth) +
    2 * rowsOf(rowCountMax, queryWidth) +
    2 * rowsOf(rowCountMax, keyWidth) +
    2 * aligned(4 * rowCountMax * (ropeWidth / 2)) +
    aligned(rowBytes * rowCountMax) +
    aligned(cacheViewBytes * cachesMax) +
    aligned(4 * rowCountMax) +
    aligned(4 * Math.min(logitRowsMax, rowCountMax) * vocabularySize) +
    4 * Math.min(splitRows, rowCountMax) * headCount * spans * (headWidth + 2) +
    (selects ? rowsOf(rowCountMax, ffnWidth) : 0)
  )
}

/** By what the device is in a plan. */
export const workspaceBytes = (workload: Workload): { readonly home: number; readonly share: number } => {
  const { shape } = workload.model
  const share = shareBytes(shape, workload.rowCountMax)
  return { home: share + homeBytes(shape, workload), share }
}
