// Does everybody install the same packages, under Bun and under Deno alike?
import type { Files } from "./source_scan.ts"
import { isStrangers, packagesOf, type WorkspacePackage } from "./workspace.ts"

/** What a package asks for; of one that is written as a stranger's, what it asks of others: ours it has from a registry, in ranges. */
const askedOf = (packages: ReadonlyArray<WorkspacePackage>, one: WorkspacePackage): ReadonlyMap<string, string> =>
  isStrangers(one)
    ? new Map([...one.dependencies].filter(([name]) => packages.every((ours) => ours.name !== name)))
    : one.dependencies

/** Every dependency names one version, or our own workspace. */
export const versionsArePinned = (files: Files): ReadonlyArray<string> =>
  packagesOf(files).flatMap((one, _index, packages) =>
    [...askedOf(packages, one)]
      .filter(([, version]) => version !== "workspace:*" && !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${one.name} asks for ${name} "${version}"; name one exact version`)
  )

/** Two packages of ours never ask for two versions of a third. */
export const versionsAgree = (files: Files): ReadonlyArray<string> => {
  const asked = new Map<string, Set<string>>()
  const packages = packagesOf(files)
  for (const one of packages) {
    for (const [name, version] of askedOf(packages, one)) asked.set(name, (asked.get(name) ?? new Set()).add(version))
  }
  return [...asked]
    .filter(([, versions]) => versions.size > 1)
    .map(([name, versions]) => `${name} is asked for in the versions ${[...versions].join(" and ")}`)
}

/** The lockfile names no host: whoever installs uses the registry they have set. */
export const lockfileNamesNoHost = (files: Files): ReadonlyArray<string> => {
  const lock = files.get("bun.lock")
  if (lock === undefined) return ["bun.lock is missing"]
  return lock.split("\n").flatMap((line) => (/https?:\/\//.test(line) ? [`bun.lock names a host: ${line.trim()}`] : []))
}

/** Packages of which more than the main door is used: a mapping ending in a slash serves effect/Schema. */
const severalDoors = new Set(["effect", "apache-arrow"])

/** What deno.json must map so that the imports of all packages resolve there too. Bun ignores these, so nothing else notices a gap. */
const denoImportsWanted = (files: Files): ReadonlyMap<string, string> => {
  const packages = packagesOf(files).filter((one) => !isStrangers(one))
  const ours = new Set(packages.map((one) => one.name))
  const wanted = new Map<string, string>()
  for (const one of packages) {
    // Nobody but tests, which Deno does not run, imports a plugin by its name.
    const isPlugin = one.folder.startsWith("plugins/")
    for (const [door, path] of isPlugin ? [] : one.doors) wanted.set(door, `./${path}`)
    for (const [name, version] of one.shippedDependencies) {
      if (ours.has(name)) continue
      wanted.set(name, `npm:${name}@${version}`)
      if (severalDoors.has(name)) wanted.set(`${name}/`, `npm:/${name}@${version}/`)
    }
  }
  // Deno has the real one; the workspace package only stands in where JSR cannot be reached.
  wanted.set("@std/assert", "jsr:@std/assert@1")
  return wanted
}

/** deno.json maps exactly the packages that package.json files declare. */
export const denoKeepsInStep = (files: Files): ReadonlyArray<string> => {
  const text = files.get("deno.json")
  if (text === undefined) return ["deno.json is missing"]
  const { imports = {} } = JSON.parse(text) as { readonly imports?: Readonly<Record<string, string>> }
  const wanted = denoImportsWanted(files)
  const wrong = [...wanted].filter(([name, target]) => imports[name] !== target)
  const extra = Object.keys(imports).filter((name) => !wanted.has(name))
  return [
    ...wrong.map(
      ([name, target]) => `deno.json maps "${name}" to ${imports[name] ?? "nothing"}; it must be "${target}"`
    ),
    ...extra.map((name) => `deno.json maps "${name}", which no package.json declares`)
  ]
}
