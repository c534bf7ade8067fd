// Do imports point one way, apps → plugins → core → effect, and through the doors of the packages only?
import { type Files, importsOf, isRelative, isScript, quotesOf, resolveImport, withoutComments } from "./source_scan.ts"
import { isStrangers, packageName, packageOfFile, packagesOf, type WorkspacePackage } from "./workspace.ts"

/** The one file that may load native code. */
export const ffiFile = "core/native/library.ts"

/** Tests and benchmarks look behind the doors; everything else goes through them. */
const looksBehindDoors = (path: string): boolean => /^(test|bench)\//.test(path)

const isBuiltin = (specifier: string): boolean => /^(bun|node):/.test(specifier) || specifier === "bun"

/** Copied into packages of other people, who may name what they like. */
const isTemplate = (path: string): boolean => path.startsWith("apps/cli/plugin_templates/")

const scripts = (files: Files) => [...files].filter(([path]) => isScript(path))

/** A relative import stays in its package; an import by name ends at a door and is declared in package.json. */
export const importsGoThroughDoors = (files: Files): ReadonlyArray<string> => {
  const packages = packagesOf(files)
  const doors = new Set(packages.flatMap((one) => [...one.doors.keys()]))
  const names = new Set(packages.map((one) => one.name))
  return scripts(files).flatMap(([path, text]) => {
    const home = packageOfFile(packages, path)
    return importsOf(text).flatMap((specifier) => {
      if (isBuiltin(specifier)) return []
      if (isRelative(specifier)) {
        const target = packageOfFile(packages, resolveImport(path, specifier))
        if (target === home || looksBehindDoors(path)) return []
        return [`${path} reaches into ${target?.name} by "${specifier}"; import the package by its name`]
      }
      const name = packageName(specifier)
      if (names.has(name) && !doors.has(specifier))
        return [`${path} imports "${specifier}", which is no door of ${name}`]
      // Tests and benchmarks try any package of the workspace.
      if (looksBehindDoors(path) && names.has(name)) return []
      // A template's package.json is written with it, and asks a registry for plugins that need not be here.
      if (isTemplate(path) && name.startsWith("@powerinfer/")) return []
      if (home && name !== home.name && !home.dependencies.has(name)) {
        return [`${path} imports "${specifier}", which ${home.name} does not declare`]
      }
      return []
    })
  })
}

/** What rooms of core may import besides effect: columns on disk, the template engine, the comparison of versions. */
const coreLibraries: ReadonlyArray<readonly [room: string, name: string]> = [
  ["core/artifacts/", "apache-arrow"],
  ["core/tokenizer/", "@huggingface/jinja"],
  ["core/plugin_host/", "semver"]
]

/** What core and the plugins may import by name. Everybody else is a composition root and may name what it declares. */
const allowedNames = (
  home: WorkspacePackage,
  path: string,
  packages: ReadonlyArray<WorkspacePackage>
): ReadonlyArray<string> | undefined => {
  if (home.folder === "core")
    return ["effect", ...coreLibraries.filter(([room]) => path.startsWith(room)).map(([, name]) => name)]
  if (home.folder.startsWith("plugins/")) return ["effect", "@powerinfer/core", ...librariesOf(home, packages)]
  if (isStrangers(home) && !path.endsWith("_test.ts")) return ["effect", "@powerinfer/core"]
  return undefined
}

/** What a plugin ships with that is not from this checkout: a solver, say. Declared there, it goes when the plugin goes. */
const librariesOf = (home: WorkspacePackage, packages: ReadonlyArray<WorkspacePackage>): ReadonlyArray<string> =>
  [...home.shippedDependencies.keys()].filter((name) => name !== "effect" && packages.every((one) => one.name !== name))

/**
 * Core imports only effect (and, in one room each, `coreLibraries`); a plugin only core, effect and the libraries that its own package.json
 * declares, never another plugin.
 */
export const importsPointOneWay = (files: Files): ReadonlyArray<string> => {
  const packages = packagesOf(files)
  return scripts(files).flatMap(([path, text]) => {
    const home = packageOfFile(packages, path)
    const allowed = home && allowedNames(home, path, packages)
    if (!allowed) return []
    return importsOf(text)
      .filter((specifier) => !isRelative(specifier) && !isBuiltin(specifier))
      .filter((specifier) => !allowed.includes(packageName(specifier)))
      .map((specifier) => `${path} imports "${specifier}"; here only ${allowed.join(" and ")} may be imported`)
  })
}

/** Core's code, strings included, holds neither the name of a plugin nor a path to one. Comments may. */
export const coreNamesNoPlugin = (files: Files): ReadonlyArray<string> => {
  const plugins = packagesOf(files).filter((one) => one.folder.startsWith("plugins/"))
  // One word, like cpu or reference, may mean the thing itself; a plugin's full name or a name of several words cannot.
  const names = plugins.flatMap((one) => [one.name, one.folder.split("/").at(-1)!]).filter((name) => /[_/]/.test(name))
  return scripts(files)
    .filter(([path]) => path.startsWith("core/"))
    .flatMap(([path, text]) => {
      const code = withoutComments(text)
      const named = names.filter((name) => new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(code))
      const paths = quotesOf(text).filter((quote) => /(^|\/)plugins\//.test(quote.text))
      return named
        .map((name) => `${path} names the plugin ${name}`)
        .concat(paths.map((quote) => `${path} names the plugin folder "${quote.text}"`))
    })
}

/** The SDK and the apps import no plugin: they find what is there, so that any plugin can be taken away. */
export const pluginsAreFound = (files: Files): ReadonlyArray<string> => {
  const plugins = new Set(packagesOf(files).flatMap((one) => (one.folder.startsWith("plugins/") ? [one.name] : [])))
  return scripts(files)
    .filter(([path]) => path === "mod.ts" || (path.startsWith("apps/") && !isTemplate(path)))
    .flatMap(([path, text]) =>
      importsOf(text)
        .filter((specifier) => plugins.has(packageName(specifier)))
        .map((specifier) => `${path} imports the plugin "${specifier}"; find it by its name`)
    )
}

/** Of effect, what starts with a command imports the modules it uses: `effect` itself loads all 270 of them, twice where an engine has its worker. */
export const effectComesInParts = (files: Files): ReadonlyArray<string> =>
  scripts(files)
    .filter(([path]) => path === "mod.ts" || (/^(core|plugins|apps)\//.test(path) && !isTemplate(path)))
    .filter(([path]) => !path.endsWith("_test.ts"))
    .flatMap(([path, text]) =>
      importsOf(text)
        .filter((specifier) => specifier === "effect" || specifier === "effect/cli")
        .map((specifier) => `${path} imports all of "${specifier}"; import its modules: ${specifier}/…`)
    )

/** `bun:ffi` is imported by exactly one file. */
export const ffiInOneFile = (files: Files): ReadonlyArray<string> => {
  const users = scripts(files)
    .filter(([, text]) => importsOf(text).includes("bun:ffi"))
    .map(([path]) => path)
  const strays = users.filter((path) => path !== ffiFile).map((path) => `${path} imports bun:ffi; only ${ffiFile} may`)
  return users.includes(ffiFile)
    ? strays
    : [...strays, `${ffiFile} does not import bun:ffi: the rule has lost its subject`]
}
