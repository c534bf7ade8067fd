// How does a block's FFN input say which neurons of the next block will fire? The best linear guess of a given rank, in closed form.
import { leadingLeftVectors, type MatrixProduct, randomFromSeed, type TrainingContext } from "@powerinfer/core"
import { choleskyFactor, solveTransposed, solveLower } from "./triangular.ts"

/** score = up · (down · x) + bias */
export interface LinearGuess {
  /** f32[rank, hidden_width] */
  readonly down: Float32Array<ArrayBuffer>
  /** f32[ffn_width, rank] */
  readonly up: Float32Array<ArrayBuffer>
  /** f32[ffn_width] */
  readonly bias: Float32Array
}

/** Rows of a block and of the next one, that are not fitted to. */
export interface HeldOutRows {
  readonly rowCount: number
  readonly hidden: Float32Array
  /** Of the next block. */
  readonly activations: Float32Array
}

type Multiply = (product: MatrixProduct) => void

/** What is gathered of the rows: sums of x xᵀ, x yᵀ, x and y. */
export interface Moments {
  rowCount: number
  /** f32[hidden_width, hidden_width] */
  readonly xx: Float32Array
  /** f32[hidden_width, ffn_width] */
  readonly xy: Float32Array
  readonly x: Float64Array
  readonly y: Float64Array
}

/** One row in eight is at the end of the text and held out, but no more than these. */
const heldOutShare = 1 / 8
const heldOutMax = 1024

/**
 * One pass over a block and the next one.
 *
 * y is 1 for a neuron that fires, else 0; where an activation makes no zeros, its magnitude.
 */
export const gatherMoments = (
  block: number,
  { model, rows, rowCount }: Pick<TrainingContext, "model" | "rows" | "rowCount">,
  multiply: Multiply
): { readonly moments: Moments; readonly heldOut: HeldOutRows } => {
  const { hiddenWidth, ffnWidth } = model.shape
  const moments: Moments = {
    rowCount: 0,
    xx: new Float32Array(hiddenWidth * hiddenWidth),
    xy: new Float32Array(hiddenWidth * ffnWidth),
    x: new Float64Array(hiddenWidth),
    y: new Float64Array(ffnWidth)
  }
  const heldOutCount = Math.max(1, Math.min(heldOutMax, Math.floor(rowCount * heldOutShare)))
  const fitted = rowCount - heldOutCount
  const heldOut = {
    rowCount: heldOutCount,
    hidden: new Float32Array(heldOutCount * hiddenWidth),
    activations: new Float32Array(heldOutCount * ffnWidth)
  }
  const next = rows(block + 1)[Symbol.iterator]()
  let seen = 0
  let y = new Float32Array(0)
  for (const chunk of rows(block)) {
    const { activations } = next.next().value!
    const count = Math.max(0, Math.min(chunk.rowCount, fitted - seen))
    if (y.length < count * ffnWidth) y = new Float32Array(count * ffnWidth)
    for (let at = 0; at < count * ffnWidth; at++)
      y[at] = model.sparse ? +(activations[at] !== 0) : Math.abs(activations[at]!)
    if (count > 0) {
      const { hidden: a } = chunk
      multiply({
        form: "atb",
        rows: hiddenWidth,
        columns: hiddenWidth,
        depth: count,
        a,
        b: a,
        c: moments.xx,
        adds: true
      })
      multiply({ form: "atb", rows: hiddenWidth, columns: ffnWidth, depth: count, a, b: y, c: moments.xy, adds: true })
      addRows(moments.x, a, count)
      addRows(moments.y, y, count)
      moments.rowCount += count
    }
    for (let row = count; row < chunk.rowCount; row++) {
      const to = seen + row - fitted
      heldOut.hidden.set(chunk.hidden.subarray(row * hiddenWidth, (row + 1) * hiddenWidth), to * hiddenWidth)
      heldOut.activations.set(activations.subarray(row * ffnWidth, (row + 1) * ffnWidth), to * ffnWidth)
    }
    seen += chunk.rowCount
  }
  return { moments, heldOut }
}

const addRows = (sums: Float64Array, values: Float32Array, rowCount: number): void => {
  for (let at = 0; at < rowCount * sums.length; at++) sums[at % sums.length]! += values[at]!
}

/** Enough for subspaces that are to be good, not exact: a guess of rank r loses little to its neighbours. */
const iterationCount = 12

/** Keeps directions that the text hardly shows from counting: a part of the mean variance is added to each. */
const ridge = 1e-3

/**
 * Reduced-rank ridge regression: of all matrices of that rank, the one whose guesses have the least squared error.
 *
 * With S = L Lᵀ the covariance of x and C that of x and y, the best full matrix is S⁻¹C, and its best part of rank r keeps the r leading left singular
 * vectors U of L⁻¹C: down = Uᵀ L⁻¹, up = (down · C)ᵀ. They are the leading eigenvectors of L⁻¹ C Cᵀ L⁻ᵀ, which is as small as the hidden vector.
 *
 * - source  Izenman, Reduced-rank regression for the multivariate linear model (1975)
 */
export const fitGuess = (
  { rowCount, xx, xy, x, y }: Moments,
  rank: number,
  seed: number,
  multiply: Multiply
): LinearGuess => {
  const hiddenWidth = x.length
  const ffnWidth = y.length
  const square = { rows: hiddenWidth, columns: hiddenWidth }
  const meanX = x.map((sum) => sum / rowCount)
  const meanY = y.map((sum) => sum / rowCount)
  const covariance = Float64Array.from(xx, (sum, at) => {
    const row = Math.floor(at / hiddenWidth)
    return sum / rowCount - meanX[row]! * meanX[at % hiddenWidth]!
  })
  let trace = 0
  for (let i = 0; i < hiddenWidth; i++) trace += covariance[i * hiddenWidth + i]!
  for (let i = 0; i < hiddenWidth; i++) covariance[i * hiddenWidth + i]! += (ridge * trace) / hiddenWidth
  const factor = choleskyFactor(covariance, hiddenWidth)
  const cross = xy.map((sum, at) => sum / rowCount - meanX[Math.floor(at / ffnWidth)]! * meanY[at % ffnWidth]!)

  const crossSquared = new Float32Array(hiddenWidth * hiddenWidth)
  multiply({ form: "abt", ...square, depth: ffnWidth, a: cross, b: cross, c: crossSquared })
  const whitened = whiten(factor, crossSquared, hiddenWidth)
  const random = randomFromSeed(seed)
  const { values: vectors } = leadingLeftVectors(
    multiply,
    { rows: hiddenWidth, width: hiddenWidth, values: whitened },
    rank,
    { uniform: () => random.nextUniform(), iterationCount }
  )
  const down = new Float32Array(rank * hiddenWidth)
  for (let r = 0; r < rank; r++) {
    down.set(solveTransposed(factor, vectors.subarray(r * hiddenWidth, (r + 1) * hiddenWidth)), r * hiddenWidth)
  }
  const up = new Float32Array(ffnWidth * rank)
  multiply({
    form: "abt",
    rows: ffnWidth,
    columns: rank,
    depth: hiddenWidth,
    a: transpose(cross, hiddenWidth),
    b: down,
    c: up
  })
  const middle = Array.from({ length: rank }, (_, r) =>
    meanX.reduce((sum, mean, i) => sum + mean * down[r * hiddenWidth + i]!, 0)
  )
  const bias = Float32Array.from(meanY, (mean, n) =>
    middle.reduce((sum, value, r) => sum - value * up[n * rank + r]!, mean)
  )
  return { down, up, bias }
}

/** L⁻¹ K L⁻ᵀ, of a symmetric K. */
const whiten = (factor: Float64Array, matrix: Float32Array, width: number): Float32Array => {
  const half = Float64Array.from(matrix)
  // Rows of K are its columns: solving each gives (L⁻¹ K)ᵀ.
  for (let row = 0; row < width; row++) solveLower(factor, half.subarray(row * width, (row + 1) * width))
  const turned = transpose(half, width)
  for (let row = 0; row < width; row++) solveLower(factor, turned.subarray(row * width, (row + 1) * width))
  return Float32Array.from(turned)
}

/** Of [rows, columns]. */
const transpose = <Values extends Float32Array | Float64Array>(values: Values, rows: number): Values => {
  const columns = values.length / rows
  const turned = values.slice() as Values
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!
  }
  return turned
}
