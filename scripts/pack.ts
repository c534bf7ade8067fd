// How does the checkout become packages that a stranger can install? `bun scripts/pack.ts [--out build/packages]`: one tarball each for powerinfer,
// the core, every plugin and the sources of the native library.
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { basename, dirname, join, relative, resolve, sep } from "node:path"
import { command, type Manifest, publishedPackages } from "./published_manifest.ts"

const root = realpathSync(join(import.meta.dir, ".."))

/** Shipped as they are written, not compiled: `powerinfer plugin create` copies them. */
const templates = `${command}/plugin_templates`

/**
 * Packs everything and returns the paths of the tarballs.
 *
 * - `out`    appears when all of them are there, in place of an older one
 * - throws   with the words of the compiler or of the packer
 * - cost     about five seconds
 */
export const pack = (out: string): ReadonlyArray<string> => {
  mkdirSync(dirname(out), { recursive: true })
  const temporary = realpathSync(mkdtempSync(`${out}.tmp-`))
  try {
    const [compiled, finished] = [join(temporary, "compiled"), join(temporary, "finished")]
    compile(temporary, compiled)
    const names = publishedPackages(readManifests()).map(({ folder, manifest }) => {
      const stage = join(temporary, "staged", manifest.name)
      stagePackage(folder, manifest, compiled, stage)
      run([process.execPath, "pm", "pack", "--ignore-scripts", "--quiet", "--destination", finished], stage)
      return `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`
    })
    if (existsSync(out)) renameSync(out, join(temporary, "replaced"))
    renameSync(finished, out)
    return names.map((name) => join(out, name))
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** Of the root, the core, the plugins and the command, by their folders; "" is the root. */
const readManifests = (): ReadonlyMap<string, Manifest> => {
  const paths = globSync(["package.json", "{core,apps/cli}/package.json", "plugins/*/*/package.json"], { cwd: root })
  const read = (path: string) => JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest
  return new Map(
    paths.sort().map((path) => [dirname(path) === "." ? "" : dirname(path).split(sep).join("/"), read(path)])
  )
}

/** JavaScript and declarations of the whole checkout but its tests and tools, in the layout of their sources. */
const compile = (temporary: string, outDir: string): void => {
  const config = join(temporary, "tsconfig.json")
  const settings = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      rootDir: root,
      outDir,
      typeRoots: [join(root, "node_modules/@types")]
    },
    include: ["mod.ts", "core", "plugins", "apps"].map((path) => join(root, path)),
    exclude: ["**/node_modules", join(root, templates)]
  }
  writeFileSync(config, JSON.stringify(settings))
  run([process.execPath, join(root, "node_modules/.bin/tsc"), "-p", config], root)
}

/** Puts together the folder that a tarball is made of. */
const stagePackage = (folder: string, manifest: Manifest, compiled: string, stage: string): void => {
  mkdirSync(stage, { recursive: true })
  if (folder === "native") stageNative(stage)
  else if (folder === "") stageRoot(compiled, stage)
  else stageCompiled(join(compiled, folder), stage)
  const ownReadme = join(root, folder, "README.md")
  if (existsSync(ownReadme)) cpSync(ownReadme, join(stage, "README.md"))
  cpSync(join(root, "LICENSE"), join(stage, "LICENSE"))
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`)
}

const stageCompiled = (from: string, to: string): void =>
  cpSync(from, to, { recursive: true, filter: (path) => basename(path) !== "package.json" })

/** The SDK and the command, which reads its version from the manifest beside it. */
const stageRoot = (compiled: string, stage: string): void => {
  for (const file of ["mod.js", "mod.d.ts"]) cpSync(join(compiled, file), join(stage, file))
  const isNeeded = (path: string) => !path.endsWith(".d.ts") && basename(path) !== "package.json"
  cpSync(join(compiled, command), join(stage, command), { recursive: true, filter: isNeeded })
  cpSync(join(root, templates), join(stage, templates), { recursive: true })
  const { name, version, type } = JSON.parse(readFileSync(join(root, command, "package.json"), "utf8")) as Manifest
  writeFileSync(join(stage, command, "package.json"), JSON.stringify({ name, version, type }))
}

/** The library is built where it is installed. Its tests stay here. */
const stageNative = (stage: string): void => {
  const sources = join(root, "native")
  cpSync(sources, stage, { recursive: true, filter: (path) => relative(sources, path).split(sep)[0] !== "test" })
}

const run = (command: ReadonlyArray<string>, cwd: string): void => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd })
  if (exitCode !== 0) throw new Error(`Cannot pack: ${command.slice(1).join(" ")} failed:\n${stdout}${stderr}`)
}

if (import.meta.main) {
  const args = process.argv.slice(2)
  if (args.length !== 0 && !(args.length === 2 && args[0] === "--out")) {
    console.error("Cannot pack: use bun scripts/pack.ts [--out DIRECTORY]")
    process.exit(2)
  }
  for (const path of pack(resolve(args[1] ?? join(root, "build", "packages")))) console.log(path)
}
