// What must hold for the whole tree? Each rule maps the files of a checkout to the sentences that say what is wrong with them.
import { noDeadFiles } from "./dead_files.ts"
import {
  filesAreShort,
  namesAreSnakeCase,
  namesSaySomething,
  nativeKnowsNoTypeScript,
  nothingIsLeftUndone
} from "./file_rules.ts"
import {
  coreNamesNoPlugin,
  effectComesInParts,
  ffiInOneFile,
  importsGoThroughDoors,
  importsPointOneWay,
  pluginsAreFound
} from "./import_rules.ts"
import { denoKeepsInStep, lockfileNamesNoHost, versionsAgree, versionsArePinned } from "./package_rules.ts"
import type { Files } from "./source_scan.ts"

/** One property of the tree. An empty answer means that it holds. */
export type Rule = (files: Files) => ReadonlyArray<string>

/** Sentence → rule. */
export const rules: Readonly<Record<string, Rule>> = {
  "imports go through the doors of declared packages": importsGoThroughDoors,
  "imports point one way: apps → plugins → core → effect": importsPointOneWay,
  "core names no plugin": coreNamesNoPlugin,
  "the SDK and the apps find plugins": pluginsAreFound,
  "effect comes in parts": effectComesInParts,
  "bun:ffi appears in one file": ffiInOneFile,
  "no script is dead": noDeadFiles,
  "no file exceeds 500 lines": filesAreShort,
  "nothing is left undone": nothingIsLeftUndone,
  "names are snake_case": namesAreSnakeCase,
  "names say something": namesSaySomething,
  "native/ knows no TypeScript": nativeKnowsNoTypeScript,
  "versions are pinned": versionsArePinned,
  "versions agree": versionsAgree,
  "bun.lock names no host": lockfileNamesNoHost,
  "deno.json keeps in step with the packages": denoKeepsInStep
}
