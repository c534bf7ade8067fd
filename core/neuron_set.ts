// Which neurons of a block each row of a batch wants.
//
// A set is a bitset: order, uniqueness and range hold by construction, the neurons of one device are a bitwise AND, the union over rows
// a bitwise OR, and every row keeps its own choice.

/** Neurons per row of a batch: bit n of a row's words is neuron n. Reused from batch to batch, never kept by who is handed one. */
export class NeuronSet {
  readonly ffnWidth: number
  readonly rowCountMax: number
  readonly wordsPerRow: number
  /** u32[row_count_max, words_per_row]; bits at ffn_width and above stay 0. Hot paths may write it directly. */
  readonly words: Uint32Array
  /** Rows in use; set by the engine before `select`. */
  rowCount = 0

  constructor(ffnWidth: number, rowCountMax: number) {
    this.ffnWidth = ffnWidth
    this.rowCountMax = rowCountMax
    this.wordsPerRow = Math.ceil(ffnWidth / 32)
    // An explicit buffer: a pointer handed to native code must not go stale (small typed arrays may move when `.buffer` is touched).
    this.words = new Uint32Array(new ArrayBuffer(rowCountMax * this.wordsPerRow * 4))
  }

  /** Empties the first `rowCount` rows and makes them the rows in use. */
  reset(rowCount: number): void {
    this.rowCount = rowCount
    this.words.fill(0, 0, rowCount * this.wordsPerRow)
  }

  /** Names every neuron for every row in use. */
  fill(): void {
    this.words.fill(0xffffffff, 0, this.rowCount * this.wordsPerRow)
    const tail = this.ffnWidth % 32
    if (tail === 0) return
    for (let row = 1; row <= this.rowCount; row++) this.words[row * this.wordsPerRow - 1] = 2 ** tail - 1
  }

  /** Adds a neuron to a row. Out of range throws a RangeError: it would touch another row. */
  add(row: number, neuron: number): void {
    if (!(neuron >= 0 && neuron < this.ffnWidth && row >= 0 && row < this.rowCount)) {
      throw new RangeError(
        `Cannot add neuron ${neuron} to row ${row}: the set has ${this.ffnWidth} neurons, ${this.rowCount} rows`
      )
    }
    this.words[row * this.wordsPerRow + (neuron >>> 5)]! |= 1 << (neuron & 31)
  }

  has(row: number, neuron: number): boolean {
    return ((this.words[row * this.wordsPerRow + (neuron >>> 5)]! >>> (neuron & 31)) & 1) === 1
  }

  /** Neurons of one row. */
  count(row: number): number {
    let count = 0
    for (let word = row * this.wordsPerRow; word < (row + 1) * this.wordsPerRow; word++)
      count += popCount(this.words[word]!)
    return count
  }

  /** The first row that names neurons at ffn_width or above, as only who writes `words` can; -1 if none does. */
  strayRow(): number {
    const tail = this.ffnWidth % 32
    if (tail === 0) return -1
    for (let row = 0; row < this.rowCount; row++) {
      if (this.words[(row + 1) * this.wordsPerRow - 1]! >>> tail !== 0) return row
    }
    return -1
  }

  /** this = of ∩ share, row by row, where `share` is one row of words: the part of a set that lives on one device. */
  intersect(of: NeuronSet, share: Uint32Array): void {
    this.rowCount = of.rowCount
    for (let word = 0; word < of.rowCount * of.wordsPerRow; word++) {
      this.words[word] = of.words[word]! & share[word % this.wordsPerRow]!
    }
  }
}

/** Bits that are set. */
export const popCount = (word: number): number => {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}
