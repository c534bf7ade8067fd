// Goal: a rule that cannot fail is worse than none, so each of them must.
// Method: a small tidy tree passes every rule; each violation planted in it is reported by its rule, in words that name it.
import { describe, expect, test } from "bun:test"
import { rules } from "./rules.ts"
import { importsOf, quotesOf, withoutComments } from "./source_scan.ts"

const manifest = (name: string, fields: object = {}) =>
  JSON.stringify({ name, exports: { ".": "./mod.ts", "./package.json": "./package.json" }, ...fields })

const tidyTree = {
  "package.json": manifest("powerinfer", {
    dependencies: { "@powerinfer/core": "workspace:*", effect: "4.1.0" },
    devDependencies: { "@std/assert": "workspace:*", oxlint: "1.94.0" }
  }),
  "mod.ts": `export * from "@powerinfer/core"\n`,
  "bun.lock": `"effect": ["effect@4.1.0", "", {}, "sha512-x"],\n`,
  "deno.json": JSON.stringify({
    imports: {
      "@powerinfer/core": "./core/mod.ts",
      "@std/assert": "jsr:@std/assert@1",
      effect: "npm:effect@4.1.0",
      "effect/": "npm:/effect@4.1.0/",
      powerinfer: "./mod.ts"
    }
  }),
  "core/package.json": manifest("@powerinfer/core", { dependencies: { effect: "4.1.0" } }),
  "core/mod.ts": `// exact_gate is a plugin\nexport * from "./engine.ts"\nexport * from "./native/library.ts"\n`,
  "core/engine.ts": `import * as Effect from "effect/Effect"\nnew Worker(new URL("./worker.ts", import.meta.url))\n`,
  "core/worker.ts": `import type { Scope } from "effect/Scope"\n`,
  "core/native/library.ts": `import { dlopen } from "bun:ffi"\n`,
  "plugins/predictors/exact_gate/package.json": manifest("@powerinfer/exact-gate", {
    dependencies: { "@powerinfer/core": "workspace:*", effect: "4.1.0" }
  }),
  "plugins/predictors/exact_gate/mod.ts": `import { Predictor } from "@powerinfer/core"\n`,
  "test/support/assert/package.json": manifest("@std/assert"),
  "test/support/assert/mod.ts": "",
  "test/engine_test.ts": `import "../core/engine.ts"\nimport "@std/assert"\nimport { test } from "bun:test"\n`,
  "native/cpu/abi.cc": "// One thread pool per machine.\n",
  "examples/plugins/guess/package.json": manifest("predictor-guess", {
    peerDependencies: { "@powerinfer/core": "^0.1.0", effect: "^4.1.0" },
    devDependencies: { effect: "4.1.0" }
  }),
  "examples/plugins/guess/mod.ts": `import { Predictor } from "@powerinfer/core"\n`,
  "scripts/launch.mjs": `spawn("scripts/test.ts")\n`,
  "scripts/test.ts": "",
  "models/tiny-llama-7m.gguf": "",
  "README.md": "# powerinfer\n"
}

const treeWith = (changes: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries({ ...tidyTree, ...changes }))

describe("a tidy tree", () => {
  for (const [sentence, rule] of Object.entries(rules)) {
    test(`passes: ${sentence}`, () => {
      expect(rule(treeWith({}))).toEqual([])
    })
  }
})

const undone = ["TO", "DO"].join("")
const gate = "plugins/predictors/exact_gate"
const oneWay = "imports point one way: apps → plugins → core → effect"
const throughDoors = "imports go through the doors of declared packages"

/** Another plugin, with these dependencies. */
const declaring = (dependencies: Readonly<Record<string, string>>) => ({
  "plugins/placement/guess/package.json": manifest("@powerinfer/guess", { dependencies })
})

/** Rule, what is planted, and a piece of the sentence that must come back. */
const planted: ReadonlyArray<readonly [rule: string, changes: Readonly<Record<string, string>>, report: string]> = [
  [throughDoors, { "mod.ts": `export * from "./core/engine.ts"` }, "mod.ts reaches into @powerinfer/core"],
  [throughDoors, { "core/engine.ts": `import "../mod.ts"` }, "core/engine.ts reaches into powerinfer"],
  [throughDoors, { "mod.ts": `export * from "@powerinfer/core/engine.ts"` }, "no door of @powerinfer/core"],
  [throughDoors, { "core/engine.ts": `const x = await import("left-pad")` }, "which @powerinfer/core does not declare"],
  [throughDoors, { "core/engine.ts": `import type { A } from "left-pad"` }, "which @powerinfer/core does not declare"],
  [throughDoors, { "test/a_test.ts": `import "highs"` }, `test/a_test.ts imports "highs"`],
  [oneWay, { "core/engine.ts": `import { a } from "@powerinfer/exact-gate"` }, `imports "@powerinfer/exact-gate"`],
  [oneWay, { "core/engine.ts": `import {\n  a\n} from "powerinfer"` }, `core/engine.ts imports "powerinfer"`],
  [oneWay, { "core/engine.ts": `import "@huggingface/jinja"` }, "here only effect may be imported"],
  [oneWay, { [`${gate}/mod.ts`]: `import "@powerinfer/backend-cpu"` }, `imports "@powerinfer/backend-cpu"`],
  [oneWay, { [`${gate}/mod.ts`]: `export * from 'powerinfer'` }, "only effect and @powerinfer/core"],
  [oneWay, { [`${gate}/mod.ts`]: `import loadHighs from "highs"` }, "only effect and @powerinfer/core"],
  [
    oneWay,
    {
      "plugins/placement/guess/mod.ts": `import "@powerinfer/exact-gate"`,
      ...declaring({ "@powerinfer/exact-gate": "workspace:*", highs: "1.15.3" })
    },
    "only effect and @powerinfer/core and highs"
  ],
  [
    "the SDK and the apps find plugins",
    { "mod.ts": `import gate from "@powerinfer/exact-gate"` },
    "find it by its name"
  ],
  [oneWay, { "examples/plugins/guess/mod.ts": `import "@powerinfer/exact-gate"` }, "only effect and @powerinfer/core"],
  ["core names no plugin", { "core/engine.ts": `const fallback = "exact_gate"` }, "names the plugin exact_gate"],
  [
    "core names no plugin",
    { "core/engine.ts": "open(`@powerinfer/exact-gate`)" },
    "names the plugin @powerinfer/exact-gate"
  ],
  ["core names no plugin", { "core/engine.ts": `read("../plugins/x.ts")` }, "names the plugin folder"],
  ["effect comes in parts", { "core/engine.ts": `import { Effect } from "effect"` }, 'imports all of "effect"'],
  ["effect comes in parts", { "mod.ts": `import { Flag } from "effect/cli"` }, "import its modules: effect/cli/…"],
  [
    "bun:ffi appears in one file",
    { "core/engine.ts": `import { ptr } from "bun:ffi"` },
    "core/engine.ts imports bun:ffi"
  ],
  ["bun:ffi appears in one file", { "test/a_test.ts": `await import("bun:ffi")` }, "test/a_test.ts imports bun:ffi"],
  ["bun:ffi appears in one file", { "core/native/library.ts": "" }, "lost its subject"],
  ["no script is dead", { "core/left_over.ts": "" }, "core/left_over.ts is reached by nothing"],
  ["no script is dead", { "scripts/tool/part.ts": "" }, "scripts/tool/part.ts is reached by nothing"],
  ["no script is dead", { "core/engine.ts": `import "effect/Effect"` }, "core/worker.ts is reached by nothing"],
  [
    "no script is dead",
    { "core/only_tested.ts": "", "test/a_test.ts": `import "../core/only_tested.ts"` },
    "core/only_tested.ts is reached by tests and tools only"
  ],
  ["no file exceeds 500 lines", { "native/cpu/abi.cc": "int x;\n".repeat(501) }, "native/cpu/abi.cc has 501 lines"],
  ["no file exceeds 500 lines", { "docs/long.md": "x\n".repeat(600) }, "docs/long.md has 600 lines"],
  ["nothing is left undone", { "core/engine.ts": `\n// ${undone}: the rest` }, "core/engine.ts:2 leaves work undone"],
  ["nothing is left undone", { "README.md": `${undone} write this` }, "README.md:1 leaves work undone"],
  ["names are snake_case", { "core/tokenStream.ts": "" }, "core/tokenStream.ts is not snake_case"],
  ["names are snake_case", { "native/cpu/sparse-axpy.cc": "" }, "native/cpu/sparse-axpy.cc is not snake_case"],
  ["names are snake_case", { "apps/Web/mod.ts": "" }, "apps/Web/mod.ts is not snake_case"],
  ["names say something", { "core/utils.ts": "" }, "core/utils.ts has a name that says nothing"],
  ["names say something", { "native/common/a.h": "" }, "native/common/a.h has a name that says nothing"],
  ["names say something", { "core/cache_manager.ts": "" }, "core/cache_manager.ts has a name that says nothing"],
  ["names say something", { "test/test_helpers.ts": "" }, "test/test_helpers.ts has a name that says nothing"],
  ["native/ knows no TypeScript", { "native/bind.ts": "" }, "native/bind.ts does not belong"],
  [
    "native/ knows no TypeScript",
    { "native/cpu/abi.cc": "// called from library.ts" },
    "native/cpu/abi.cc:1 knows its caller"
  ],
  [
    "native/ knows no TypeScript",
    { "native/cpu/abi.cc": "// Bun passes a double" },
    "native/cpu/abi.cc:1 knows its caller"
  ],
  [
    "versions are pinned",
    { "core/package.json": manifest("@powerinfer/core", { dependencies: { effect: "^4.1.0" } }) },
    `@powerinfer/core asks for effect "^4.1.0"`
  ],
  [
    "versions are pinned",
    { "core/package.json": manifest("@powerinfer/core", { devDependencies: { x: "latest" } }) },
    `asks for x "latest"`
  ],
  [
    "versions are pinned",
    { "examples/plugins/guess/package.json": manifest("predictor-guess", { devDependencies: { x: "^1.0.0" } }) },
    `predictor-guess asks for x "^1.0.0"`
  ],
  [
    "versions agree",
    { "core/package.json": manifest("@powerinfer/core", { dependencies: { effect: "4.0.9" } }) },
    "effect is asked for in the versions 4.1.0 and 4.0.9"
  ],
  [
    "bun.lock names no host",
    { "bun.lock": `"effect": ["http://registry.example/effect.tgz"]` },
    "bun.lock names a host"
  ],
  ["deno.json keeps in step with the packages", { "deno.json": "{}" }, `deno.json maps "@powerinfer/core" to nothing`],
  [
    "deno.json keeps in step with the packages",
    { "deno.json": tidyTree["deno.json"].replace("npm:effect@4.1.0", "npm:effect@4.0.0") },
    `deno.json maps "effect" to npm:effect@4.0.0`
  ],
  [
    "deno.json keeps in step with the packages",
    { "deno.json": tidyTree["deno.json"].replace(`"powerinfer"`, `"left-pad":"npm:left-pad@1.0.0","powerinfer"`) },
    `deno.json maps "left-pad", which no package.json declares`
  ]
]

test("a plugin may import a library that its own package.json declares", () => {
  const solver = { "plugins/placement/guess/mod.ts": `import loadHighs from "highs"` }
  expect(rules[oneWay]!(treeWith({ ...solver, ...declaring({ highs: "1.15.3" }) }))).toEqual([])
})

describe("a planted violation", () => {
  for (const [sentence, changes, report] of planted) {
    test(`is reported: ${report}`, () => {
      expect(rules[sentence]!(treeWith(changes)).join("\n")).toContain(report)
    })
  }

  test("has been planted for every rule", () => {
    expect(new Set(planted.map(([sentence]) => sentence))).toEqual(new Set(Object.keys(rules)))
  })
})

describe("source_scan", () => {
  const source = `
    // import "commented"
    /* import "also commented" */
    import { a } from "one" // "trailing"
    import type { B } from 'two'
    export * from "three"
    const c = await import(\`four\`)
    const text = 'import x from "quoted"'
    const d = { from: "five" }
    const e = "a // b"
  `
  test("importsOf() sees every kind of import, and none in comments and strings", () => {
    expect(importsOf(source)).toEqual(["one", "two", "three", "four"])
  })

  test("quotesOf() sees strings of all three kinds", () => {
    const texts = quotesOf(source).map((quote) => quote.text)
    expect(texts).toEqual(["one", "two", "three", "four", `import x from "quoted"`, "five", "a // b"])
  })

  test("withoutComments() leaves slashes in strings alone", () => {
    expect(withoutComments(`a("x // y") // z`)).toBe(`a("x // y")  `)
  })
})
