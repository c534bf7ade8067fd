// What only the home device does: embeddings, attention, the residual, logits.
import {
  type Batch,
  cachedHeadBytes,
  type CacheId,
  type FfnPartial,
  type HiddenRows,
  type Model,
  type ModelShape
} from "@powerinfer/core"
import { attendHead, type KvCache, storePosition } from "./kv_cache.ts"
import { applyLinear, type LinearWeights } from "./linear.ts"
import { applyNorm } from "./norm.ts"
import { rotate } from "./rotate.ts"
import type { AttentionWeights, HomeWeights } from "./weights.ts"

/** One row of a batch, looked up and checked. */
interface Row {
  readonly token: number
  readonly position: number
  readonly cache: KvCache
}

/** The residual of a batch and everything that reads or writes it. */
export class HomeStage {
  readonly counters = { rowCount: 0, weightBytes: 0, cacheBytes: 0 }
  readonly #shape: ModelShape
  readonly #weights: HomeWeights
  readonly #caches = new Map<CacheId, KvCache>()
  #lastCache = 0

  /** f32[row_count_max, hidden_width] each: the stream that blocks add to, a norm of it, and what the FFN is to read. */
  readonly #residual: Float32Array
  readonly #normalized: Float32Array
  readonly #hidden: Float32Array
  /** f32[row_count_max, head_count · head_width]. */
  readonly #q: Float32Array
  readonly #attended: Float32Array
  /** f32[kv_head_count · head_width]: one row's, before it goes to the cache. */
  readonly #k: Float32Array
  readonly #v: Float32Array
  /** f32[hidden_width]: what attention adds to one row. */
  readonly #delta: Float32Array
  /** f32[row_count_max, vocabulary_size]. */
  readonly #logits: Float32Array
  #rows: ReadonlyArray<Row> = []

  constructor({ shape }: Model, weights: HomeWeights, rowCountMax: number) {
    const qWidth = shape.headCount * shape.headWidth
    const kvWidth = shape.kvHeadCount * shape.headWidth
    this.#shape = shape
    this.#weights = weights
    this.#residual = new Float32Array(rowCountMax * shape.hiddenWidth)
    this.#normalized = new Float32Array(rowCountMax * shape.hiddenWidth)
    this.#hidden = new Float32Array(rowCountMax * shape.hiddenWidth)
    this.#q = new Float32Array(rowCountMax * qWidth)
    this.#attended = new Float32Array(rowCountMax * qWidth)
    this.#k = new Float32Array(kvWidth)
    this.#v = new Float32Array(kvWidth)
    this.#delta = new Float32Array(shape.hiddenWidth)
    this.#logits = new Float32Array(rowCountMax * shape.vocabularySize)
  }

  addCache(cache: KvCache): CacheId {
    this.#caches.set(++this.#lastCache, cache)
    return this.#lastCache
  }

  removeCache(id: CacheId): void {
    this.#caches.delete(id)
  }

  /** Begins a batch: residual = embedding of the token (+ of the position). */
  embed(batch: Batch): void {
    const { hiddenWidth, positions } = this.#shape
    const { tokenEmbedding, positionEmbedding } = this.#weights
    this.#rows = Array.from({ length: batch.rowCount }, (_, row) => this.#rowOf(batch, row))
    for (const [row, { token, position }] of this.#rows.entries()) {
      for (let i = 0; i < hiddenWidth; i++) {
        let value = tokenEmbedding.values[token * hiddenWidth + i]!
        if (positionEmbedding && positions.kind === "learned") {
          value += positionEmbedding.values[(position + positions.offset) * hiddenWidth + i]!
        }
        this.#residual[row * hiddenWidth + i] = value
      }
    }
    this.counters.rowCount += batch.rowCount
    this.#countRows(tokenEmbedding, new Set(this.#rows.map(({ token }) => token)).size)
    if (positionEmbedding) this.#countRows(positionEmbedding, new Set(this.#rows.map((row) => row.position)).size)
  }

  /** Adds attention to the residual; returns what the FFN reads. A parallel block's FFN reads the residual as it was before. */
  attend(batch: Batch, block: number): HiddenRows {
    const { hiddenWidth, parallel } = this.#shape
    const weights = this.#weights.attention[block]!
    const size = batch.rowCount * hiddenWidth
    const input = parallel ? this.#residual.slice(0, size) : undefined
    if (parallel) this.#normalize(weights.ffnNorm, this.#hidden)
    this.#normalize(weights.norm, this.#normalized)
    // All keys and values first: rows of one session see each other.
    for (const [row, at] of this.#rows.entries()) this.#projectRow(weights, row, at, block)
    for (const [row, at] of this.#rows.entries()) this.#attendRow(weights, row, at, block)
    if (!parallel) this.#normalize(weights.ffnNorm, this.#hidden)
    for (const linear of [weights.q, weights.k, weights.v, weights.output]) this.#countRows(linear, linear.rows)
    return {
      rowCount: batch.rowCount,
      width: hiddenWidth,
      values: this.#hidden.subarray(0, size),
      residual: input ?? this.#residual.subarray(0, size)
    }
  }

  /** residual += Σ partials + down's bias. */
  merge(block: number, partials: ReadonlyArray<FfnPartial>): void {
    const { hiddenWidth } = this.#shape
    const { downBias } = this.#weights.attention[block]!
    const parts = partials.map((partial) => {
      const values = partial.wait()
      if (!values) throw new Error("A partial of another device did not come to host memory")
      return values
    })
    for (let i = 0; i < this.#rows.length * hiddenWidth; i++) {
      let sum = this.#residual[i]! + (downBias ? downBias[i % hiddenWidth]! : 0)
      for (const part of parts) sum += part[i]!
      this.#residual[i] = sum
    }
  }

  /** f32[logit_count, vocabulary_size] of the rows that want logits. */
  logits(batch: Batch): Float32Array {
    const { hiddenWidth, vocabularySize } = this.#shape
    const { outputNorm, output } = this.#weights
    for (let i = 0; i < batch.logitCount; i++) {
      applyNorm(outputNorm, this.#residual, batch.logitRows[i]! * hiddenWidth, this.#normalized, 0)
      applyLinear(output, this.#normalized, 0, this.#logits, i * vocabularySize)
    }
    if (batch.logitCount > 0) this.#countRows(output, output.rows)
    return this.#logits.subarray(0, batch.logitCount * vocabularySize)
  }

  #rowOf(batch: Batch, row: number): Row {
    const [token = 0, position = 0, id = 0] = batch.rows.subarray(row * 3, row * 3 + 3)
    const cache = this.#caches.get(id)
    if (!cache) throw new RangeError(`Cannot run row ${row}: there is no cache ${id}`)
    if (position >= cache.positionCount) {
      throw new RangeError(`Cannot run row ${row}: position ${position} of ${cache.positionCount}`)
    }
    if (token >= this.#shape.vocabularySize) {
      throw new RangeError(`Cannot run row ${row}: token ${token} of ${this.#shape.vocabularySize}`)
    }
    return { token, position, cache }
  }

  #normalize(norm: AttentionWeights["norm"], out: Float32Array): void {
    const { hiddenWidth } = this.#shape
    for (let row = 0; row < this.#rows.length; row++) {
      applyNorm(norm, this.#residual, row * hiddenWidth, out, row * hiddenWidth)
    }
  }

  /** q of one row to the workspace, its k and v to the cache. */
  #projectRow({ q, k, v, qNorm, kNorm }: AttentionWeights, row: number, { position, cache }: Row, block: number): void {
    const { hiddenWidth, headWidth, positions } = this.#shape
    const x = row * hiddenWidth
    applyLinear(q, this.#normalized, x, this.#q, row * q.rows)
    applyLinear(k, this.#normalized, x, this.#k, 0)
    applyLinear(v, this.#normalized, x, this.#v, 0)
    const prepareHead = (heads: Float32Array, at: number, norm: AttentionWeights["qNorm"]) => {
      if (norm) applyNorm(norm, heads, at, heads, at)
      if (positions.kind === "rope") rotate(heads, at, position, this.#weights.inverseFrequencies, positions.style)
    }
    for (let at = 0; at < q.rows; at += headWidth) prepareHead(this.#q, row * q.rows + at, qNorm)
    for (let at = 0; at < k.rows; at += headWidth) prepareHead(this.#k, at, kNorm)
    storePosition(cache.keys[block]!, cache.type, position, this.#k, 0, k.rows)
    storePosition(cache.values[block]!, cache.type, position, this.#v, 0, v.rows)
  }

  #attendRow({ output }: AttentionWeights, row: number, { position, cache }: Row, block: number): void {
    const { hiddenWidth, headCount, kvHeadCount, headWidth } = this.#shape
    const qWidth = headCount * headWidth
    const kvWidth = kvHeadCount * headWidth
    const scores = new Float64Array(position + 1)
    for (let head = 0; head < headCount; head++) {
      const at = row * qWidth + head * headWidth
      // Consecutive query heads share a key and value head.
      const headAt = Math.floor((head * kvHeadCount) / headCount) * headWidth
      const kv = { keys: cache.keys[block]!, values: cache.values[block]!, kvWidth, headAt }
      attendHead({ q: this.#q, at, width: headWidth }, kv, position + 1, scores, this.#attended, at)
    }
    applyLinear(output, this.#attended, row * qWidth, this.#delta, 0)
    for (let i = 0; i < hiddenWidth; i++) this.#residual[row * hiddenWidth + i]! += this.#delta[i]!
    this.counters.cacheBytes += 2 * (position + 1) * kvHeadCount * cachedHeadBytes(cache.type, headWidth)
  }

  #countRows({ sizeBytes, rows }: LinearWeights, count: number): void {
    this.counters.weightBytes += (sizeBytes / rows) * count
  }
}
