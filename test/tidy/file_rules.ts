// Is every file of a size, a name and a place that a stranger can live with?
import { posix } from "node:path"
import { type Files, isScript } from "./source_scan.ts"

/** The most lines a file may have. */
export const lineCountMax = 500

/** Marks of work left undone; the brackets keep this line from being one. */
const undoneMark = /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/

/** Made by programs or by other people: their names and sizes are not ours to choose. */
const isData = (path: string): boolean => /^(models|test\/golden)\//.test(path) || /\.(json|lock|gguf|bin)$/.test(path)

const isWritten = (path: string): boolean =>
  isScript(path) ||
  /\.(cc|h|cpp|cu|cuh|metal|cmake|md|sh|html|css|toml)$/.test(path) ||
  /(^|\/)CMakeLists\.txt$/.test(path) ||
  path === ".ci/run"

const written = (files: Files) => [...files].filter(([path]) => isWritten(path) && !isData(path))

/** No file exceeds `lineCountMax` lines. */
export const filesAreShort = (files: Files): ReadonlyArray<string> =>
  written(files).flatMap(([path, text]) => {
    const lineCount = text.split("\n").length - (text.endsWith("\n") ? 1 : 0)
    return lineCount > lineCountMax ? [`${path} has ${lineCount} lines; ${lineCountMax} is the limit`] : []
  })

/** Nothing is left for later without saying so where plans are kept. */
export const nothingIsLeftUndone = (files: Files): ReadonlyArray<string> =>
  written(files).flatMap(([path, text]) =>
    text
      .split("\n")
      .flatMap((line, i) => (undoneMark.test(line) ? [`${path}:${i + 1} leaves work undone: ${line.trim()}`] : []))
  )

/** Names that others have fixed. */
const fixedNames = new Set(["README.md", "CHANGELOG.md", "LICENSE", "CMakeLists.txt"])

/** Folders and files are snake_case. */
export const namesAreSnakeCase = (files: Files): ReadonlyArray<string> =>
  [...files.keys()]
    .filter((path) => !isData(path) || isScript(path))
    .filter((path) => !fixedNames.has(posix.basename(path)))
    .filter((path) => !/^(\.?[a-z0-9_]+(\.[a-z0-9_]+)*\/)*\.?[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(path))
    .map((path) => `${path} is not snake_case`)

/** Names under which anything could be put. */
const emptyNames = /(^|_)(utils?|helpers?|common|managers?|misc)(_|$)/

/** No folder or file has a name that says nothing. */
export const namesSaySomething = (files: Files): ReadonlyArray<string> =>
  [...files.keys()]
    .filter((path) => !isData(path))
    .filter((path) => path.split("/").some((part) => emptyNames.test(part.replace(/\..*$/, ""))))
    .map((path) => `${path} has a name that says nothing; name the idea`)

/** native/ holds no script and does not know who calls it. */
export const nativeKnowsNoTypeScript = (files: Files): ReadonlyArray<string> => {
  const caller = /\b(typescript|javascript|bun|deno|node_modules|package\.json)\b|\.ts\b/i
  return [...files]
    .filter(([path]) => path.startsWith("native/"))
    .flatMap(([path, text]) => {
      if (isScript(path) || path.endsWith(".json")) return [`${path} does not belong in native/`]
      return text
        .split("\n")
        .flatMap((line, i) => (caller.test(line) ? [`${path}:${i + 1} knows its caller: ${line.trim()}`] : []))
    })
}
