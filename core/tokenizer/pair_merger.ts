// Which symbols remain when the best adjacent pair is merged again and again?

/** The merges that a vocabulary knows. */
export interface MergeTable {
  /** The merge of two adjacent symbols, or −1. */
  find(left: number, right: number): number
  /** u32[merge_count], below 2²²: the lowest is merged first. Of equal ranks, the leftmost pair. */
  readonly rank: Uint32Array
  /** u32[merge_count]: the symbol that a merge makes. */
  readonly merged: Uint32Array
}

/** Ranks must stay below this, so that a rank and a position fit into one exact f64. */
export const rankLimit = 2 ** 22

const positionLimit = 2 ** 31
/** Words are short: memory for this many symbols is kept between calls. */
const keptCount = 4096
const dead = -1
const none = -1

/**
 * Merges pairs in the order of their rank: byte-pair encoding.
 *
 * A linked list of symbols and a heap of pairs. Pairs that a neighbour's merge has changed stay in the heap and are
 * skipped when they surface: `pair` says what stands at a position now.
 *
 * - cost    O(n log n) time for n symbols, even for one word of a million letters; 36 bytes a symbol
 * - source  the method of llama.cpp, `llm_tokenizer_spm_session` and `llm_tokenizer_bpe_session`
 */
export class PairMerger {
  readonly #table: MergeTable
  readonly #kept = new Scratch(keptCount)

  constructor(table: MergeTable) {
    this.#table = table
  }

  /** Merges the first `count` entries of `symbols` in place and returns how many are left, from the start. */
  merge(symbols: Int32Array, count: number): number {
    if (count < 2) return count
    const table = this.#table
    const { next, previous, pair, heap } = count <= keptCount ? this.#kept : new Scratch(count)
    heap.clear()

    const offer = (left: number) => {
      const right = next[left]!
      const merge = right === none ? none : table.find(symbols[left]!, symbols[right]!)
      pair[left] = merge
      if (merge !== none) heap.push(table.rank[merge]! * positionLimit + left)
    }
    for (let i = 0; i < count; i++) {
      next[i] = i + 1 < count ? i + 1 : none
      previous[i] = i - 1
    }
    for (let i = 0; i < count; i++) offer(i)

    while (heap.length > 0) {
      const key = heap.pop()
      const left = key % positionLimit
      const merge = symbols[left] === dead ? none : pair[left]!
      if (merge === none || table.rank[merge]! !== Math.floor(key / positionLimit)) continue

      const right = next[left]!
      const after = next[right]!
      symbols[left] = table.merged[merge]!
      symbols[right] = dead
      next[left] = after
      if (after !== none) previous[after] = left
      offer(left)
      if (previous[left] !== none) offer(previous[left]!)
    }

    let kept = 0
    for (let i = 0; i !== none; i = next[i]!) symbols[kept++] = symbols[i]!
    return kept
  }
}

class Scratch {
  readonly next: Int32Array
  readonly previous: Int32Array
  /** The merge of the symbol at a position with the next one. */
  readonly pair: Int32Array
  readonly heap: KeyHeap

  constructor(count: number) {
    this.next = new Int32Array(count)
    this.previous = new Int32Array(count)
    this.pair = new Int32Array(count)
    // Each position is offered once at the start, and each of at most count − 1 merges offers two more.
    this.heap = new KeyHeap(3 * count)
  }
}

/** A binary heap of numbers, smallest first. */
class KeyHeap {
  readonly #keys: Float64Array
  length = 0

  constructor(capacity: number) {
    this.#keys = new Float64Array(capacity)
  }

  clear(): void {
    this.length = 0
  }

  push(key: number): void {
    const keys = this.#keys
    let at = this.length++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (keys[parent]! <= key) break
      keys[at] = keys[parent]!
      at = parent
    }
    keys[at] = key
  }

  /** Removes the smallest key. Must not be called on an empty heap. */
  pop(): number {
    const keys = this.#keys
    const smallest = keys[0]!
    const key = keys[--this.length]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.length) break
      if (child + 1 < this.length && keys[child + 1]! < keys[child]!) child++
      if (keys[child]! >= key) break
      keys[at] = keys[child]!
      at = child
    }
    keys[at] = key
    return smallest
  }
}
