// The rows that go through the model together: prefill, decode of several sessions and evaluation are all just rows.

/** A device's KV cache of one session. */
export type CacheId = number

/** Rows of one forward pass. Reused from batch to batch; nobody but its owner writes it. */
export class Batch {
  readonly rowCountMax: number
  rowCount = 0
  /** Interleaved u32[row_count_max, 3]: token, position, cache. The layout of `powerinfer_row`. */
  readonly rows: Uint32Array
  /** Rows whose logits are wanted, ascending: u32[logit_count]. */
  readonly logitRows: Uint32Array
  logitCount = 0
  /** 1 for a row of a prompt that is being read, 0 for one that decodes: u8[row_count_max]. */
  readonly prompt: Uint8Array

  constructor(rowCountMax: number) {
    this.rowCountMax = rowCountMax
    this.rows = new Uint32Array(new ArrayBuffer(rowCountMax * 12))
    this.logitRows = new Uint32Array(new ArrayBuffer(rowCountMax * 4))
    this.prompt = new Uint8Array(rowCountMax)
  }

  clear(): void {
    this.rowCount = 0
    this.logitCount = 0
  }

  /** Appends a row; returns its index among the rows whose logits are wanted, or -1. */
  add(token: number, position: number, cache: CacheId, wantsLogits: boolean, prompt = false): number {
    if (this.rowCount === this.rowCountMax)
      throw new RangeError(`Cannot add a row: the batch holds ${this.rowCountMax}`)
    const at = this.rowCount * 3
    this.rows[at] = token
    this.rows[at + 1] = position
    this.rows[at + 2] = cache
    const row = this.rowCount++
    this.prompt[row] = prompt ? 1 : 0
    if (!wantsLogits) return -1
    this.logitRows[this.logitCount] = row
    return this.logitCount++
  }
}

/** f32[row_count, width] of a batch, a view that is valid until the next call on its owner. Borrowed: never written, never kept. */
export interface HiddenRows {
  readonly rowCount: number
  readonly width: number
  readonly values: Float32Array
  /**
   * What `values` was before its norm: f32[row_count, width], the residual after attention; of a parallel block, the block's input. Copied when it is
   * asked for; undefined: the device keeps no such thing.
   */
  readonly residual?: Float32Array | undefined
}
