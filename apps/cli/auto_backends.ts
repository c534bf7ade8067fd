// Which backends run a model whose command line and settings file name none, or `auto`?
import { Effect } from "effect"
import { autoBackends } from "powerinfer"
import type { SettingsFile } from "./settings_file.ts"

/** Stands for whatever this machine has. */
const auto = "auto"

/** Whether the choice is left to us. `texts`: as the command line has them. */
export const leavesBackendsOpen = (texts: ReadonlyArray<string>, file: SettingsFile | undefined): boolean =>
  texts.length === 0
    ? (file?.plugins.backend ?? []).every(({ use, options }) => use === auto && Object.keys(options).length === 0)
    : texts.join() === auto

/** Their names, as the command line could have had them. `model`: absent where it is not known yet. */
export const autoBackendTexts = (model: string | undefined, announce: (line: string) => void) =>
  Effect.map(autoBackends(model, announce), (backends) => backends.map(({ name }) => name))
