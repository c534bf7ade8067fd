// How does what users write pass through a chat template without being taken for the template's own markers?

const isPrivate = /[\uE000-\uF8FF]/g
const firstPrivate = 0xe000
const lastPrivate = 0xf8ff

/** Fields that templates compare with fixed words or put inside their markers; they can hold a marker, but not half of one. */
const identifiers: ReadonlySet<string> = new Set(["role", "type", "name", "id", "tool_call_id"])

/** What a template has written, with its places that came from a cover. */
export interface Uncovered {
  readonly text: string
  /** Whether text of a user lies in [start, end), in UTF-16 code units, so that no control token may be parsed there. */
  readonly isCovered: (start: number, end: number) => boolean
}

/**
 * Covers the first character of every control token that is spelled out in a user's text with a private-use character
 * that occurs nowhere else. The template carries it along wherever it puts, trims or splits the text; afterwards the
 * character is put back and its place is known. All other text is as it was, so templates that look into messages
 * (for `</think>`, say) work, and the tokens are those of the uncovered text: there are no seams.
 *
 * Also covered are the ends of texts that could complete a control token together with what the template or another
 * message puts beside them: `<|im_` at the end, `end|>` at the start, `im_end` as the whole.
 *
 * Limits: a template that takes a message apart and joins the parts anew could still form a control token from parts
 * that are none; one that measures or compares a text sees the cover instead of one character.
 */
export class ContentVeil {
  readonly #controlTexts: ReadonlyArray<string>
  readonly #taken: ReadonlySet<string>
  readonly #coverOf = new Map<string, string>()
  readonly #coveredBy = new Map<string, string>()
  #next = firstPrivate

  /** `seen`: all that takes part in the rendering, to find private-use characters that are free. */
  constructor(controlTexts: ReadonlyArray<string>, seen: unknown) {
    this.#controlTexts = controlTexts.filter((text) => text !== "")
    this.#taken = new Set(JSON.stringify(seen).match(isPrivate))
  }

  /** A copy of plain data in which no text holds a control token. Throws an Error if no private-use character is free. */
  cover(value: unknown, key?: string): unknown {
    if (typeof value === "string") return this.#coverText(value, key !== undefined && identifiers.has(key))
    if (Array.isArray(value)) return value.map((entry) => this.cover(entry, key))
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, entry]) => [this.#coverText(name, true), this.cover(entry, name)])
    )
  }

  /** Puts back what `cover` has taken away. */
  uncover(rendered: string): Uncovered {
    const places = new Set<number>()
    let text = ""
    for (let i = 0; i < rendered.length; i++) {
      const original = this.#coveredBy.get(rendered[i]!)
      if (original !== undefined) places.add(i)
      text += original ?? rendered[i]!
    }
    const isCovered = (start: number, end: number) => {
      for (let i = start; i < end; i++) if (places.has(i)) return true
      return false
    }
    return { text, isCovered }
  }

  #coverText(text: string, isIdentifier: boolean): string {
    const places = new Set<number>()
    for (const control of this.#controlTexts) {
      for (let at = text.indexOf(control); at >= 0; at = text.indexOf(control, at + 1)) places.add(at)
      if (isIdentifier || text === "") continue
      // Templates trim, so the ends count with and without white space.
      const start = text.length - text.trimStart().length
      const end = text.trimEnd().length
      for (const [from, to] of [
        [0, text.length],
        [start, end]
      ] as const) {
        const whole = text.slice(from, to)
        if (whole !== "" && control.includes(whole)) places.add(from)
        for (let count = 1; count < Math.min(control.length, whole.length); count++) {
          if (whole.endsWith(control.slice(0, count))) places.add(to - count)
          if (whole.startsWith(control.slice(-count))) places.add(from)
        }
      }
    }
    if (places.size === 0) return text
    return Array.from({ length: text.length }, (_, i) => (places.has(i) ? this.#cover(text[i]!) : text[i]!)).join("")
  }

  /** One code unit for one code unit, so that lengths stay as they are. */
  #cover(unit: string): string {
    const known = this.#coverOf.get(unit)
    if (known !== undefined) return known
    while (this.#taken.has(String.fromCharCode(this.#next))) this.#next++
    if (this.#next > lastPrivate) throw new Error("the messages use every private-use character of Unicode")
    const cover = String.fromCharCode(this.#next++)
    this.#coverOf.set(unit, cover)
    this.#coveredBy.set(cover, unit)
    return cover
  }
}
