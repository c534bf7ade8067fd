// How is one row of a batch shown to a predictor as if it were alone?
import { Batch, type HiddenRows } from "@powerinfer/core"

/** A row of others, in buffers of its own. */
export class OneRow implements HiddenRows {
  readonly rowCount = 1
  readonly width: number
  // Explicit buffers: they are handed to native code.
  readonly values: Float32Array
  readonly batch = new Batch(1)
  readonly #residual: Float32Array
  #hidden: HiddenRows | undefined
  #row = 0

  constructor(width: number) {
    this.width = width
    this.values = new Float32Array(new ArrayBuffer(width * 4))
    this.#residual = new Float32Array(new ArrayBuffer(width * 4))
  }

  /** Copied when it is asked for, as it is by a device. */
  get residual(): Float32Array | undefined {
    const residual = this.#hidden?.residual
    if (residual === undefined) return undefined
    copyRow(residual, this.#row, this.#residual)
    return this.#residual
  }

  look(hidden: HiddenRows, batch: Batch, row: number): void {
    this.#hidden = hidden
    this.#row = row
    copyRow(hidden.values, row, this.values)
    const { rows, prompt } = batch
    this.batch.clear()
    this.batch.add(rows[row * 3]!, rows[row * 3 + 1]!, rows[row * 3 + 2]!, false, prompt[row] === 1)
  }
}

/** A view of the row would be an object. */
const copyRow = (from: Float32Array, row: number, to: Float32Array): void => {
  const start = row * to.length
  for (let i = 0; i < to.length; i++) to[i] = from[start + i]!
}
