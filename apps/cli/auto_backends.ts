// Which backends run a model whose command line and settings file name none, or `auto`?
import * as Effect from "effect/Effect"
import { autoBackends } from "powerinfer"
import type { SettingsFile } from "./settings_file.ts"

/** Stands for whatever this machine has. */
const auto = "auto"

/** Whether the choice is left to us. `texts`: as the command line has them. */
export const leavesBackendsOpen = (texts: ReadonlyArray<string>, file: SettingsFile | undefined): boolean =>
  texts.length === 0
    ? (file?.plugins.backend ?? []).every(({ use, options }) => use === auto && Object.keys(options).length === 0)
    : texts.join() === auto

/**
 * Flags of a command that looks at every neuron's activation, which a device with a part of a block cannot say: the CPU, where the choice is left to us.
 */
export const holdingWholeBlocks = <
  Flags extends { readonly backend: ReadonlyArray<string>; readonly file?: SettingsFile | undefined }
>(
  flags: Flags
): Flags => (leavesBackendsOpen(flags.backend, flags.file) ? { ...flags, backend: ["cpu"] } : flags)

/** Their names, as the command line could have had them. `model`: absent where it is not known yet. */
export const autoBackendTexts = (model: string | undefined, announce: (line: string) => void) =>
  Effect.map(autoBackends(model, announce), (backends) => backends.map(({ name }) => name))
