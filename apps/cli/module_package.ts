// To which package does a plugin's module belong?
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

interface Manifest {
  readonly name?: unknown
  readonly exports?: unknown
  readonly main?: unknown
  readonly module?: unknown
}

/** The module as a path; a specifier that is none stays as it is. */
export const modulePath = (module: string): string => (module.startsWith("file:") ? fileURLToPath(module) : module)

/** The name of the package whose door the module is; undefined for a file that merely lies in somebody's project. */
export const packageOf = (module: string): string | undefined => {
  const path = modulePath(module)
  const folder = manifestFolder(dirname(path))
  if (folder === undefined) return undefined
  const manifest = readManifest(join(folder, "package.json"))
  if (typeof manifest?.name !== "string") return undefined
  const doors = [manifest.exports, manifest.main, manifest.module].flatMap(textsOf)
  const isDoor = doors.some((door) => resolve(folder, door) === path) || /[\\/]node_modules[\\/]/.test(path)
  return isDoor ? manifest.name : undefined
}

const manifestFolder = (folder: string): string | undefined => {
  if (existsSync(join(folder, "package.json"))) return folder
  const above = dirname(folder)
  return above === folder ? undefined : manifestFolder(above)
}

/** One that is damaged says nothing. */
const readManifest = (path: string): Manifest | undefined => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Manifest
  } catch {
    return undefined
  }
}

/** Doors by condition lie at any depth. */
const textsOf = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : []
}
