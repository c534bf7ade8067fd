// powerinfer plugin create: a package that builds, passes its tests and runs, as the place to begin.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { attemptWrite, type PluginKind } from "powerinfer"
import { InvalidUsage } from "../invalid_usage.ts"
import type { NativeLanguage } from "../native_languages.ts"
import { print } from "../output.ts"
import { type NewPlugin, packageNameOf, pluginPackage } from "../plugin_package.ts"

export interface PluginCreateInput {
  readonly kind: PluginKind
  readonly name: string
  readonly native: NativeLanguage
  readonly directory: string | undefined
}

/** There is something where the package would go, and nothing of it may be lost. */
export class PluginFolderExists extends Schema.TaggedError<PluginFolderExists>()("PluginFolderExists", {
  path: Schema.String
}) {
  override get message() {
    return `Cannot create the plugin: ${this.path} is already there; choose another name, or another place with --directory`
  }
}

/**
 * Writes the package and says what to type next. It appears whole or not at all.
 *
 * - fails  with `InvalidUsage` (a name that is none, a kernel for what has none), `PluginFolderExists`, `FileUnwritable`
 */
export const pluginCreate = Effect.fnUntraced(function* (input: PluginCreateInput) {
  const { kind, native } = input
  const plugin: NewPlugin = { kind, native, name: yield* checkName(input.name) }
  if (native !== "none" && kind !== "predictor") yield* noKernel(kind)
  const folder = resolve(input.directory ?? packageNameOf(plugin))
  if (existsSync(folder)) return yield* new PluginFolderExists({ path: folder })
  yield* writeFolder(folder, pluginPackage(plugin))
  yield* print(nextSteps(plugin, relative(process.cwd(), folder) || "."))
})

const checkName = (name: string): Effect.Effect<string, InvalidUsage> => {
  // npm allows 214 characters; a name that long would be no name.
  if (/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) && name.length <= 64) return Effect.succeed(name)
  const reason = `${JSON.stringify(name)} is no name for a plugin; use up to 64 lower-case letters, digits and single underscores: hash_rows`
  return Effect.fail(new InvalidUsage({ reason }))
}

const noKernel = (kind: PluginKind) => {
  const other =
    kind === "backend"
      ? "a device in C is a whole one (powerinfer_backend_kernels in powerinfer_plugin.h), for which there is no template"
      : "a placement policy runs once, before the model is loaded"
  return Effect.fail(new InvalidUsage({ reason: `--native is for predictors: ${other}; leave it out` }))
}

const writeFolder = (folder: string, files: ReadonlyMap<string, string>) =>
  Effect.acquireUseRelease(
    attemptWrite(folder, () => {
      mkdirSync(dirname(folder), { recursive: true })
      return mkdtempSync(`${folder}.tmp-`)
    }),
    (temporary) =>
      attemptWrite(folder, () => {
        const whole = join(temporary, "whole")
        for (const [path, text] of files) {
          mkdirSync(dirname(join(whole, path)), { recursive: true })
          writeFileSync(join(whole, path), text)
        }
        renameSync(whole, folder)
      }),
    (temporary) => Effect.sync(() => rmSync(temporary, { recursive: true, force: true }))
  )

const nextSteps = ({ kind, name, native }: NewPlugin, folder: string): string => {
  // A plan for one device would show nothing of a policy.
  const flags = kind === "placement" ? `--placement ${name} --backend cpu --backend cpu` : `--${kind} ${name}`
  return [
    `Created the ${kind} ${name} in ${folder}. Next:`,
    "",
    `  cd ${folder}`,
    "  bun install",
    ...(native === "none" ? [] : ["  bun run build"]),
    "  bun run test",
    `  bun run powerinfer generate MODEL.gguf "Once upon a time" ${flags}`,
    ""
  ].join("\n")
}
