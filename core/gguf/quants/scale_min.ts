// How do Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minimums into 12 bytes?
//
// Bytes 0 to 3 hold scales 0 to 3 in their low six bits, bytes 4 to 7 minimums 0 to 3. Bytes 8 to 11 hold the low four
// bits of scales (low half) and minimums (high half) 4 to 7, whose upper two are the top bits of bytes 0 to 3 and 4 to 7.

/** The scale of `group` (0 to 7), 0 … 63. The twelve bytes start at `at`. */
export const packedScale = (bytes: Uint8Array, at: number, group: number): number =>
  group < 4 ? bytes[at + group]! & 63 : (bytes[at + group + 4]! & 15) | ((bytes[at + group - 4]! >> 6) << 4)

/** The minimum of `group` (0 to 7), 0 … 63. */
export const packedMin = (bytes: Uint8Array, at: number, group: number): number =>
  group < 4 ? bytes[at + group + 4]! & 63 : (bytes[at + group + 4]! >> 4) | ((bytes[at + group]! >> 6) << 4)

/** Stores eight scales and eight minimums, each 0 … 63. */
export const packScalesAndMins = (bytes: Uint8Array, at: number, scales: Uint8Array, mins: Uint8Array): void => {
  for (let group = 0; group < 4; group++) {
    const upperScale = scales[group + 4]!
    const upperMin = mins[group + 4]!
    bytes[at + group] = scales[group]! | ((upperScale >> 4) << 6)
    bytes[at + group + 4] = mins[group]! | ((upperMin >> 4) << 6)
    bytes[at + group + 8] = (upperScale & 15) | ((upperMin & 15) << 4)
  }
}
