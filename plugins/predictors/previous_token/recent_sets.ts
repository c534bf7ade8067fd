// Which sets did the last tokens of a session have, in each block?
import { CacheSlots, NeuronSet } from "@powerinfer/core"

/** How much is kept. */
export interface RecentSetsShape {
  readonly ffnWidth: number
  readonly blockCount: number
  /** Sets of one block of a session. */
  readonly window: number
  readonly sessions: number
}

/** No set has been kept, so any age is reached. */
const never = 0xffffffff

/** The last sets of every session and block. A *place* is one block of one session: it holds a ring of sets. */
export class RecentSets {
  readonly #window: number
  readonly #blockCount: number
  readonly #sets: NeuronSet
  readonly #counts: Uint32Array
  /** Where in the ring the next set goes. */
  readonly #next: Uint32Array
  /** Tokens since the last set. */
  readonly #ages: Uint32Array
  readonly #lastPositions: Uint32Array
  readonly #slots: CacheSlots

  constructor({ ffnWidth, blockCount, window, sessions }: RecentSetsShape) {
    const placeCount = sessions * blockCount
    this.#window = window
    this.#blockCount = blockCount
    this.#sets = new NeuronSet(ffnWidth, placeCount * window)
    this.#counts = new Uint32Array(placeCount)
    this.#next = new Uint32Array(placeCount)
    this.#ages = new Uint32Array(placeCount)
    this.#lastPositions = new Uint32Array(placeCount)
    this.#slots = new CacheSlots(sessions, (slot) => {
      this.#counts.fill(0, slot * blockCount, (slot + 1) * blockCount)
    })
  }

  /** Goes on to a token and returns its place, which is empty unless the token follows the one before. */
  advance(cache: number, block: number, position: number): number {
    const place = this.#slots.slotOf(cache) * this.#blockCount + block
    if (position !== this.#lastPositions[place]! + 1) this.#counts[place] = 0
    this.#lastPositions[place] = position
    this.#ages[place]!++
    return place
  }

  /** How many tokens ago the last set was kept; larger than any option where there is none. */
  age(place: number): number {
    return this.#counts[place] === 0 ? never : this.#ages[place]!
  }

  /** Keeps a row of `set`; the oldest one goes if there is no room. */
  push(place: number, set: NeuronSet, row: number): void {
    const { wordsPerRow } = set
    const to = (place * this.#window + this.#next[place]!) * wordsPerRow
    for (let word = 0; word < wordsPerRow; word++) this.#sets.words[to + word] = set.words[row * wordsPerRow + word]!
    this.#next[place] = (this.#next[place]! + 1) % this.#window
    this.#counts[place] = Math.min(this.#counts[place]! + 1, this.#window)
    this.#ages[place] = 0
  }

  addUnion(place: number, active: NeuronSet, row: number): void {
    const { wordsPerRow } = active
    for (let back = 1; back <= this.#counts[place]!; back++) {
      const kept = (this.#next[place]! + this.#window - back) % this.#window
      const from = (place * this.#window + kept) * wordsPerRow
      for (let word = 0; word < wordsPerRow; word++) {
        active.words[row * wordsPerRow + word]! |= this.#sets.words[from + word]!
      }
    }
  }
}
