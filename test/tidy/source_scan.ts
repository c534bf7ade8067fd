// What does a source file import and quote? A scan that knows comments and strings, so that neither is taken for code.
import { posix } from "node:path"

/** The files of a checkout: path relative to the root, with forward slashes → text. */
export type Files = ReadonlyMap<string, string>

/** A string literal, with the code in front of it. */
export interface Quote {
  /** The code between the previous string or comment and this one. */
  readonly before: string
  /** What stands between the quotes; escapes are left as they are. */
  readonly text: string
}

// A comment, or a string of one of the three kinds. Alternatives are tried in this order at each place of the text.
const commentOrString =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"((?:\\.|[^"\\\n])*)"|'((?:\\.|[^'\\\n])*)'|`((?:\\[\s\S]|[^`\\])*)`/g

/** Every string literal of a TypeScript or JavaScript text outside comments. A template counts as one string. */
export const quotesOf = (text: string): ReadonlyArray<Quote> => {
  const quotes: Array<Quote> = []
  let end = 0
  for (const match of text.matchAll(commentOrString)) {
    const quoted = match[1] ?? match[2] ?? match[3]
    if (quoted !== undefined) quotes.push({ before: text.slice(end, match.index), text: quoted })
    end = match.index + match[0].length
  }
  return quotes
}

/** The text without its comments; strings stay. */
export const withoutComments = (text: string): string =>
  text.replace(commentOrString, (found) => (found.startsWith("/") ? " " : found))

/** What a TypeScript or JavaScript text imports: static, dynamic, re-exported and type-only imports alike. */
export const importsOf = (text: string): ReadonlyArray<string> =>
  quotesOf(text)
    .filter(({ before }) => /\b(from|import|require)\s*\(?\s*$/.test(before))
    .map((quote) => quote.text)

/** Whether a path is TypeScript or JavaScript of ours. */
export const isScript = (path: string): boolean => /\.(ts|mts|tsx|js|mjs)$/.test(path)

/** The path that a relative import of `importer` names, from the root. */
export const resolveImport = (importer: string, specifier: string): string =>
  posix.normalize(posix.join(posix.dirname(importer), specifier))

/** Whether an import is a path rather than a package. */
export const isRelative = (specifier: string): boolean => specifier.startsWith(".") || specifier.startsWith("/")
