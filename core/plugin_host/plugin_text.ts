// How is a plugin named with its options in one text?

/** A plugin as it was named. */
export interface NamedPluginText {
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
}

/**
 * "oracle_top_k:share=0.1" → the name and `{ share: 0.1 }`.
 *
 * - `text`   NAME, NAME:key=value,key=value or NAME:{"key": value}; values are JSON where they parse as such, else text. A value in brackets may hold
 *            commas
 * - returns  a text where it cannot be read: why
 */
export const parsePluginText = (text: string): NamedPluginText | string => {
  // The first colon that options follow: a path may have others.
  const [, name = text, written = ""] = /^(.+?):(\{.*|[A-Za-z_]\w*(?:=.*)?)$/s.exec(text) ?? []
  if (written === "") return { name, options: {} }
  if (written.startsWith("{")) {
    try {
      return { name, options: JSON.parse(written) as Record<string, unknown> }
    } catch (cause) {
      return unreadable(name, (cause as Error).message)
    }
  }
  const options: Record<string, unknown> = {}
  for (const part of splitOutsideParentheses(written, ",")) {
    const equals = part.indexOf("=")
    if (equals < 1) return unreadable(name, `"${part}" has no value`)
    options[part.slice(0, equals)] = valueOf(part.slice(equals + 1))
  }
  return { name, options }
}

const unreadable = (name: string, reason: string): string =>
  `the options of ${name} cannot be read (${reason}); write ${name}:key=value,key=value or ${name}:{"key": value}`

/** At separators, but those between parentheses, which a value that names another plugin stands in: then:propose=(svd_gate:file=a,b=1). */
export const splitOutsideParentheses = (text: string, separator: string): ReadonlyArray<string> => {
  const parts: Array<string> = []
  let depth = 0
  let start = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "(") depth++
    else if (text[at] === ")") depth--
    else if (text[at] === separator && depth === 0) {
      parts.push(text.slice(start, at))
      start = at + 1
    }
  }
  return [...parts, text.slice(start)]
}

/** What stands in parentheses, JSON where it parses as such, else the text itself. */
export const valueOf = (text: string): unknown => {
  if (text.startsWith("(") && text.endsWith(")")) return text.slice(1, -1)
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
