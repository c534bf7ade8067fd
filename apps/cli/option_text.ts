// How is the value of an option shown?

/** For a report: what JSON can hold, else as the value says itself. A secret that hides itself stays hidden. */
export const plainValue = (value: unknown): unknown => {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value)
  try {
    const text = JSON.stringify(value)
    return text === undefined ? String(value) : (JSON.parse(text) as unknown)
  } catch {
    return String(value)
  }
}

/** As it would be typed: words without quotes. */
export const showValue = (value: unknown): string => {
  const plain = plainValue(value)
  return typeof plain === "string" ? plain : JSON.stringify(plain)
}
