// Rope: a position turns pairs of dimensions, each pair at its own speed.

/**
 * Turns the leading dimensions of one head in place: pair i by position · inverseFrequencies[i].
 *
 * - `style`  `interleaved`: pair i is (2i, 2i + 1); `halves`: (i, i + width / 2)
 */
export const rotate = (
  head: Float32Array,
  at: number,
  position: number,
  inverseFrequencies: Float32Array,
  style: "interleaved" | "halves"
): void => {
  const pairs = inverseFrequencies.length
  for (let i = 0; i < pairs; i++) {
    const first = at + (style === "interleaved" ? 2 * i : i)
    const second = first + (style === "interleaved" ? 1 : pairs)
    const angle = position * inverseFrequencies[i]!
    const [x, y] = [head[first]!, head[second]!]
    head[first] = x * Math.cos(angle) - y * Math.sin(angle)
    head[second] = x * Math.sin(angle) + y * Math.cos(angle)
  }
}
