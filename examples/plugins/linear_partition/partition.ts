// How is a row of items divided into runs, one a device, so that the fullest device is as empty as can be? Solved exactly.

/** What a device has room for, and what already lies on it. */
export interface Room {
  readonly size: number
  /** Default 0. */
  readonly taken?: number
}

/** Runs in the order of the devices: device d holds items ends[d - 1] up to but not including ends[d]. */
export interface Partition {
  readonly ends: ReadonlyArray<number>
  /** Of the fullest device: what lies on it over what it has room for. */
  readonly fullest: number
}

/**
 * The partition whose fullest device is emptiest; of several, the one whose earlier runs are longest.
 *
 * - `sizes`  of the items, none negative
 * - `rooms`  one or more, each larger than 0; a run may be empty
 * - cost     item_count² × device_count steps: best[d][n] is the answer for the first n items on the first d devices, from all answers for d - 1
 */
export const partition = (sizes: ReadonlyArray<number>, rooms: ReadonlyArray<Room>): Partition => {
  const count = sizes.length
  const before = [0]
  for (const size of sizes) before.push(before.at(-1)! + size)
  const fullness = ({ size, taken = 0 }: Room, from: number, to: number) => (taken + before[to]! - before[from]!) / size

  /** By device: where its run begins when the first n items lie on it and those before it. */
  const begins: Array<ReadonlyArray<number>> = []
  let best = Array.from({ length: count + 1 }, (_, n) => (n === 0 ? 0 : Infinity))
  for (const room of rooms) {
    const [next, begin] = [Array.from(best, () => Infinity), Array.from(best, () => 0)]
    for (let n = 0; n <= count; n++) {
      // From the right, and only for less: of equals, the earlier devices have the longer runs.
      for (let from = n; from >= 0; from--) {
        const fullest = Math.max(best[from]!, fullness(room, from, n))
        if (fullest < next[n]!) [next[n], begin[n]] = [fullest, from]
      }
    }
    best = next
    begins.push(begin)
  }

  const ends = Array.from(rooms, () => 0)
  let end = count
  for (let device = rooms.length - 1; device >= 0; device--) {
    ends[device] = end
    end = begins[device]![end]!
  }
  return { ends, fullest: best[count]! }
}
