// Goal: what is published can be installed by a stranger, and asks for nothing that only a checkout has.
// Method: manifests of a small made-up checkout; then the tarballs of this one, read file by file.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { pack } from "../../scripts/pack.ts"
import { type Manifest, publishedPackages } from "../../scripts/published_manifest.ts"

const checkout = new Map<string, Manifest>([
  [
    "",
    {
      name: "powerinfer",
      version: "1.2.3",
      exports: { ".": "./mod.ts", "./package.json": "./package.json" },
      bin: { powerinfer: "./apps/cli/main.ts" },
      dependencies: { "@powerinfer/core": "workspace:*", effect: "4.1.0" }
    }
  ],
  ["core", { name: "@powerinfer/core", version: "1.2.3", license: "MIT", dependencies: { semver: "7.0.0" } }],
  [
    "apps/cli",
    { name: "@powerinfer/cli", version: "1.2.3", dependencies: { powerinfer: "workspace:*", "some-shell": "5.0.0" } }
  ],
  [
    "plugins/predictors/guess",
    {
      name: "@powerinfer/predictor-guess",
      version: "1.2.3",
      dependencies: { "@powerinfer/core": "workspace:*", effect: "4.1.0" },
      powerinfer: { predictor: { guess: "./mod.ts" } }
    }
  ]
])
const published = new Map(publishedPackages(checkout).map(({ manifest }) => [manifest.name, manifest]))

test("publishedPackages() leaves the command out: it is part of powerinfer, with what it needs", () => {
  expect([...published.keys()].sort()).toEqual([
    "@powerinfer/core",
    "@powerinfer/native",
    "@powerinfer/predictor-guess",
    "powerinfer"
  ])
  expect(published.get("powerinfer")).toMatchObject({
    exports: { ".": { types: "./mod.d.ts", default: "./mod.js" }, "./package.json": "./package.json" },
    bin: { powerinfer: "./apps/cli/main.js" },
    dependencies: {
      "@powerinfer/core": "1.2.3",
      "@powerinfer/predictor-guess": "1.2.3",
      effect: "4.1.0",
      "some-shell": "5.0.0"
    }
  })
  expect(Object.keys(published.get("powerinfer")!.dependencies!)).not.toContain("powerinfer")
})

test("publishedPackages() gives plugins their core as a peer, and names their compiled modules", () => {
  const plugin = published.get("@powerinfer/predictor-guess")!
  expect(plugin.peerDependencies).toEqual({ "@powerinfer/core": "^1.2.3", effect: "^4.1.0" })
  expect(plugin.dependencies).toBeUndefined()
  expect(plugin.powerinfer).toEqual({ predictor: { guess: "./mod.js" } })
})

test("publishedPackages() has the core bring the native sources of its version", () => {
  expect(published.get("@powerinfer/core")!.dependencies).toEqual({ semver: "7.0.0", "@powerinfer/native": "1.2.3" })
})

let folder = ""
let tarballs = new Map<string, ReadonlyMap<string, File>>()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "powerinfer-pack-"))
  const paths = pack(join(folder, "tarballs"))
  tarballs = new Map(
    await Promise.all(
      paths.map(async (path) => [basename(path), await new Bun.Archive(readFileSync(path)).files()] as const)
    )
  )
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("pack() makes tarballs whose doors, programs and modules are in them", async () => {
  for (const [tarball, files] of tarballs) {
    const manifest = JSON.parse(await files.get("package/package.json")!.text()) as Manifest
    const doors = Object.values(manifest.exports ?? {}).flatMap((door) =>
      typeof door === "string" ? [door] : Object.values(door as Record<string, string>)
    )
    const modules = Object.values(manifest.powerinfer ?? {}).flatMap((kind) => Object.values(kind))
    for (const path of [...doors, ...modules, ...Object.values(manifest.bin ?? {})]) {
      expect([...files.keys()], tarball).toContain(path.replace("./", "package/"))
    }
    expect(JSON.stringify(manifest), tarball).not.toContain("workspace:")
    expect([...files.keys()], tarball).toContain("package/LICENSE")
  }
})

test("pack() ships TypeScript as JavaScript with declarations, but for the templates", () => {
  const sources = [...tarballs].flatMap(([tarball, files]) =>
    [...files.keys()].filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts")).map((path) => [tarball, path])
  )
  expect(sources.filter(([, path]) => !path!.startsWith("package/apps/cli/plugin_templates/"))).toEqual([])
})

const cmake = Bun.which("cmake")
test.skipIf(cmake === null)(
  "pack() ships native sources that configure without their tests",
  async () => {
    const tarball = [...tarballs.keys()].find((name) => name.includes("powerinfer-native"))
    await new Bun.Archive(readFileSync(join(folder, "tarballs", tarball!))).extract(folder)
    const sources = join(folder, "package")
    expect([...tarballs.get(tarball!)!.keys()].filter((path) => path.startsWith("package/test/"))).toEqual([])
    const { exitCode, stderr } = Bun.spawnSync([cmake!, "-S", sources, "-B", join(folder, "build")])
    expect(stderr.toString()).toBe("")
    expect(exitCode).toBe(0)
  },
  60_000
)
