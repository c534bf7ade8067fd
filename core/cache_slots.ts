// Where does a predictor that remembers earlier tokens keep what it knows of a session, if there is room for so many only?
import type { CacheId } from "./batch.ts"

/** No cache has this id. */
const nobody = -1

/**
 * A fixed number of slots for caches. One that is new takes the slot that was not asked for longest, and what was known there is forgotten.
 *
 * Ids of caches that were closed may come again: who keeps something must also see whether positions follow each other.
 */
export class CacheSlots {
  readonly slotCount: number
  readonly #caches: Float64Array
  readonly #lastAsked: Float64Array
  readonly #forget: (slot: number) => void
  #time = 0

  /** - `forget`  hears of a slot that changes hands, before it does */
  constructor(slotCount: number, forget: (slot: number) => void) {
    this.slotCount = slotCount
    this.#caches = new Float64Array(slotCount).fill(nobody)
    this.#lastAsked = new Float64Array(slotCount)
    this.#forget = forget
  }

  /** The slot of this cache from now on. Looks through all of them: some 50 ns. */
  slotOf(cache: CacheId): number {
    let oldest = 0
    for (let slot = 0; slot < this.slotCount; slot++) {
      if (this.#caches[slot] === cache) {
        this.#lastAsked[slot] = ++this.#time
        return slot
      }
      if (this.#lastAsked[slot]! < this.#lastAsked[oldest]!) oldest = slot
    }
    this.#forget(oldest)
    this.#caches[oldest] = cache
    this.#lastAsked[oldest] = ++this.#time
    return oldest
  }
}
