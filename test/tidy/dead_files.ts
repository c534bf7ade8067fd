// Which of our files does nothing reach?
import { type Files, isScript, quotesOf, resolveImport } from "./source_scan.ts"
import { packagesOf } from "./workspace.ts"

const isTest = (path: string): boolean => /(^|\/)test\//.test(path)
const isProgram = (path: string): boolean => path.endsWith("_test.ts") || /^(bench|examples|scripts)\/[^/]+$/.test(path)
const isProduct = (path: string): boolean => /^(core|plugins|apps)\//.test(path) || path === "mod.ts"

/**
 * Every script is reached from an entry point: a package's doors and programs, a test, or a file of bench/, examples/ or scripts/.
 * What only tests reach is dead to users: core, plugins and apps must be reached from their own entry points.
 */
export const noDeadFiles = (files: Files): ReadonlyArray<string> => {
  const packages = packagesOf(files)
  const doors = new Map(packages.flatMap((one) => [...one.doors]))
  // bunfig.toml names what runs before the tests.
  const entries = [...doors.values(), ...packages.flatMap((one) => one.programs), "bunfig.toml"]
  const paths = [...files.keys()].filter(isScript)
  const forUsers = reach(
    files,
    doors,
    entries.filter((path) => !isTest(path))
  )
  const forAnybody = reach(files, doors, [...entries, ...paths.filter(isProgram)])

  return paths.flatMap((path) => {
    if (!forAnybody.has(path)) return [`${path} is reached by nothing; delete it or use it`]
    if (isProduct(path) && !forUsers.has(path))
      return [`${path} is reached by tests and tools only; users never run it`]
    return []
  })
}

/** Everything that `entries` reach. Any string that names a file counts: imports, `new URL("./worker.ts", …)`, command lines. */
const reach = (
  files: Files,
  doors: ReadonlyMap<string, string>,
  entries: ReadonlyArray<string>
): ReadonlySet<string> => {
  const reached = new Set<string>()
  const waiting = [...entries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const text = files.get(path)
    if (text === undefined || reached.has(path)) continue
    reached.add(path)
    for (const quote of quotesOf(text)) {
      const door = doors.get(quote.text)
      if (door) waiting.push(door)
      else if (isScript(quote.text)) waiting.push(resolveImport(path, quote.text), quote.text)
    }
  }
  return reached
}
