// How far is a backend from its oracle, operation by operation?

/** The error of one comparison. */
export interface ErrorFigure {
  readonly operation: string
  /** Of the weights. */
  readonly type: string
  /** The largest of all values, in standard deviations of what is expected. */
  readonly error: number
  readonly limit: number
}

/** Keeps the largest error of every operation and type: `report` is for a suite, `figures` for who wants to know. */
export const largestErrors = (): {
  readonly report: (figure: ErrorFigure) => void
  readonly figures: () => ReadonlyArray<ErrorFigure>
} => {
  const largest = new Map<string, ErrorFigure>()
  return {
    report: (figure) => {
      const key = `${figure.operation} · ${figure.type}`
      const known = largest.get(key)
      // A NaN is larger than anything.
      if (known === undefined || Number.isNaN(figure.error) || figure.error > known.error) largest.set(key, figure)
    },
    figures: () => [...largest.values()]
  }
}
