// What does a new plugin package consist of?
import { readFileSync } from "node:fs"
import effectManifest from "effect/package.json" with { type: "json" }
import { engineVersion, type PluginKind } from "powerinfer"
import type { NativeLanguage } from "./native_languages.ts"

/** A plugin to scaffold. */
export interface NewPlugin {
  readonly kind: PluginKind
  /** snake_case: what `--predictor` and the like take. */
  readonly name: string
  readonly native: NativeLanguage
}

/** Developed with; the checkout's own versions, which a test keeps in step. */
export const developmentVersions = { "@types/bun": "1.4.5", typescript: "7.0.2" } as const

/** File in the package → the template it is made from. */
type Templates = Readonly<Record<string, string>>

const templates: { readonly [Kind in PluginKind]: Templates } = {
  predictor: {
    "mod.ts": "./plugin_templates/predictor/mod.ts",
    "signs.ts": "./plugin_templates/predictor/signs.ts",
    "mod_test.ts": "./plugin_templates/predictor/mod_test.ts",
    "README.md": "./plugin_templates/predictor/README.md"
  },
  placement: {
    "mod.ts": "./plugin_templates/placement/mod.ts",
    "mod_test.ts": "./plugin_templates/placement/mod_test.ts",
    "README.md": "./plugin_templates/placement/README.md"
  },
  backend: {
    "mod.ts": "./plugin_templates/backend/mod.ts",
    "mod_test.ts": "./plugin_templates/backend/mod_test.ts",
    "README.md": "./plugin_templates/backend/README.md"
  }
}

/** Of a predictor with a kernel. */
const nativeTemplates = (name: string, language: Exclude<NativeLanguage, "none">): Templates => ({
  "mod.ts": "./plugin_templates/predictor_native/mod.ts",
  "signs.ts": "./plugin_templates/predictor/signs.ts",
  ...(language === "c"
    ? { [`kernels/${name}.c`]: "./plugin_templates/predictor_native/kernel.c" }
    : { [`kernels/${name}.rs`]: "./plugin_templates/predictor_native/kernel.rs" }),
  "mod_test.ts": "./plugin_templates/predictor_native/mod_test.ts",
  "README.md": "./plugin_templates/predictor_native/README.md"
})

/** A predictor called hash_rows is the package predictor-hash-rows. */
export const packageNameOf = ({ kind, name }: Pick<NewPlugin, "kind" | "name">): string =>
  `${kind}-${name.replaceAll("_", "-")}`

/** Path in the package → contents, in the order in which they are written. */
export const pluginPackage = (plugin: NewPlugin): ReadonlyMap<string, string> => {
  const fill = (template: string) =>
    readFileSync(new URL(template, import.meta.url), "utf8")
      .replaceAll("plugin_name", plugin.name)
      // The templates of both predictors share a file.
      .replaceAll("../predictor/", "./")
      .replaceAll("engine_range", `^${engineVersion}`)
  const { kind, name, native } = plugin
  const files = native === "none" ? templates[kind] : nativeTemplates(name, native)
  return new Map([
    ["package.json", json(packageJson(plugin))],
    ...Object.entries(files).map(([path, template]) => [path, fill(template)] as const),
    ["tsconfig.json", json(tsconfig)],
    [".gitignore", "node_modules/\nbuild/\n*.tgz\n"]
  ])
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

const packageJson = (plugin: NewPlugin) => {
  const { kind, name, native } = plugin
  const ours = `^${engineVersion}`
  return {
    name: packageNameOf(plugin),
    version: "0.1.0",
    description: `${name}, a ${kind} for powerinfer`,
    type: "module",
    exports: { ".": "./mod.ts", "./package.json": "./package.json" },
    files: ["*.ts", "!*_test.ts", ...(native === "none" ? [] : ["kernels", "prebuilt"])],
    powerinfer: { [kind]: { [name]: "./mod.ts" } },
    scripts: {
      ...(native !== "none" && { build: "powerinfer plugin build" }),
      test: "bun test",
      types: "tsc --noEmit"
    },
    // One core and one effect for everybody: whoever installs the plugin brings them.
    peerDependencies: { "@powerinfer/core": ours, effect: `^${effectManifest.version}` },
    ...(kind === "backend" && { dependencies: { "@powerinfer/backend-reference": ours } }),
    devDependencies: {
      powerinfer: ours,
      effect: effectManifest.version,
      ...developmentVersions
    }
  }
}

const tsconfig = {
  compilerOptions: {
    target: "ESNext",
    module: "NodeNext",
    lib: ["ESNext", "DOM"],
    types: ["bun"],
    strict: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noEmit: true
  }
}
