// Goal: the plugins of a project are found in package.json files alone: its own, its direct dependencies', its workspace's.
// Method: projects written into a temporary directory whose plugin modules throw when they are imported, so that running one would show.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { discoverPlugins, importPlugin, pickPlugin, projectDirectory } from "@powerinfer/core"
import { Effect } from "effect"

const root = realpathSync(mkdtempSync(join(tmpdir(), "powerinfer-discover-")))
afterAll(() => rmSync(root, { recursive: true }))

const write = (path: string, content: object | string) => {
  const file = join(root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content))
}

const packageWith = (path: string, manifest: object) => {
  write(`${path}/package.json`, manifest)
  write(`${path}/mod.ts`, "throw new Error('nobody asked for this plugin')")
}

packageWith("project", {
  name: "project",
  version: "1.0.0",
  dependencies: { "@acme/predictor-x": "^2.0.0", "left-pad": "1.0.0", absent: "1.0.0" },
  devDependencies: { several: "1.0.0", damaged: "1.0.0" },
  workspaces: ["packages/*"],
  powerinfer: { placement: { own: "./mod.ts" } }
})
packageWith("project/node_modules/@acme/predictor-x", {
  name: "@acme/predictor-x",
  version: "2.1.0",
  peerDependencies: { "@powerinfer/core": "^0.1.0" },
  powerinfer: { predictor: { x: "./mod.ts" } }
})
packageWith("project/node_modules/@acme/predictor-x/node_modules/hidden", {
  name: "hidden",
  powerinfer: { predictor: { hidden: "./mod.ts" } }
})
packageWith("project/node_modules/left-pad", { name: "left-pad", version: "1.0.0" })
packageWith("project/node_modules/several", {
  name: "several",
  version: "1.0.0",
  powerinfer: { predictor: { x: "./mod.ts", y: "./y.ts" }, backend: { z: "./z.ts" } }
})
packageWith("project/node_modules/damaged", { name: "damaged", powerinfer: { predictor: "./mod.ts" } })
packageWith("project/packages/member", { name: "member", version: "0.0.1", powerinfer: { backend: { m: "./mod.ts" } } })
write("project/packages/no_package/notes.md", "")

const project = join(root, "project")
const found = await Effect.runPromise(discoverPlugins(project))

describe("discoverPlugins()", () => {
  test("lists the project's own plugins, its workspace's and its direct dependencies', and runs none", () => {
    expect(found.plugins.map(({ kind, name, package: from }) => `${kind} ${name} of ${from}`).sort()).toEqual([
      "backend m of member",
      "backend z of several",
      "placement own of project",
      "predictor x of @acme/predictor-x",
      "predictor x of several",
      "predictor y of several"
    ])
  })
  test("says of each its version, the engine it asks for and its module", () => {
    expect(found.plugins.find((one) => one.package === "@acme/predictor-x")).toEqual({
      kind: "predictor",
      name: "x",
      package: "@acme/predictor-x",
      version: "2.1.0",
      engine: "^0.1.0",
      module: pathToFileURL(join(project, "node_modules/@acme/predictor-x/mod.ts")).href
    })
  })
  test("names the package whose announcement cannot be read", () => {
    expect(found.problems).toHaveLength(1)
    expect(found.problems[0]!.package).toContain("damaged")
    expect(found.problems[0]!.reason).toContain("powerinfer")
  })
  test("finds nothing where there is no package.json", async () => {
    expect((await Effect.runPromise(discoverPlugins(join(root, "nowhere")))).plugins).toEqual([])
  })
})

test("our own packages announce what their modules say, and fit this engine", async () => {
  const { plugins, problems } = await Effect.runPromise(discoverPlugins(process.cwd()))
  expect(problems).toEqual([])
  for (const { kind, name, version, module } of plugins) {
    const plugin = await Effect.runPromise(importPlugin(kind, name, module))
    expect([plugin.kind, plugin.name, plugin.version, plugin.module]).toEqual([kind, name, version, module])
  }
})

describe("pickPlugin()", () => {
  const pick = (kind: "backend" | "predictor", name: string) =>
    Effect.runPromise(Effect.result(pickPlugin(found.plugins, kind, name)))
  const refusal = async (kind: "backend" | "predictor", name: string) => {
    const result = await pick(kind, name)
    return result._tag === "Failure" ? result.failure.message : undefined
  }

  test("takes the name of a plugin or of a package that has one of the kind", async () => {
    expect(await pick("predictor", "y")).toMatchObject({ success: { kind: "predictor", name: "y", options: {} } })
    expect(await pick("predictor", "@acme/predictor-x")).toMatchObject({ success: { name: "x" } })
    expect(await pick("backend", "several")).toMatchObject({ success: { name: "z" } })
  })
  test("refuses a name that two packages answer to", async () => {
    expect(await refusal("predictor", "x")).toContain("answer to that name; name the package")
    expect(await refusal("predictor", "several")).toContain("answer to that name; name the plugin")
  })
  test("says which there are where there is none", async () => {
    expect(await refusal("backend", "cuda")).toContain("there is none of that name; there are m, z")
  })
})

test("projectDirectory() is the nearest one above with a package.json", () => {
  expect(projectDirectory(join(project, "packages/no_package"))).toBe(project)
  expect(projectDirectory(join(project, "packages/member"))).toBe(join(project, "packages/member"))
})
