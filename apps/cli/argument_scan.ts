// What does a command line name that must be known before it can be parsed? Plugins bring flags of their own, and a settings file names plugins.
import type { PluginKind } from "powerinfer"

/** In the order of the help. Not `pluginKinds`: the core takes longer to load than most help texts to print. */
export const flagKinds = ["predictor", "placement", "backend"] as const satisfies ReadonlyArray<PluginKind>

/** Commands that open an engine, and so have its flags. */
const engineCommands = new Set(["generate", "chat", "logits", "bench", "evaluate", "profile", "train"])

/** `--predictor.share`, as it was written. */
export interface OptionFlag {
  readonly kind: PluginKind
  readonly key: string
  readonly flag: string
}

export interface ScannedArguments {
  readonly plugins: { readonly [Kind in PluginKind]: ReadonlyArray<string> }
  readonly optionFlags: ReadonlyArray<OptionFlag>
  readonly config: string | undefined
  /** Only the help is wanted. */
  readonly help: boolean
}

/**
 * Finds plugins, their options and the settings file among the arguments, which it reads as effect/cli will.
 *
 * - returns  undefined where the command has no engine
 */
export const scanArguments = (args: ReadonlyArray<string>): ScannedArguments | undefined => {
  const end = args.indexOf("--")
  const read = end < 0 ? args : args.slice(0, end)
  // Before the command there may be flags that all have, and one of them takes a value: --log-level debug.
  const command = read.find((arg, index) => !arg.startsWith("-") && read[index - 1] !== "--log-level")
  if (command === undefined || !engineCommands.has(command)) return undefined
  const trained = command === "train" ? firstArgument(read.slice(read.indexOf(command) + 1)) : undefined
  const plugins = { predictor: new Array<string>(), placement: new Array<string>(), backend: new Array<string>() }
  if (trained !== undefined) plugins.predictor.push(trained)
  const optionFlags: Array<OptionFlag> = []
  let config: string | undefined
  for (const [index, arg] of read.entries()) {
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? []
    if (name === undefined) continue
    const [, negated, kind, key] = /^(no-)?(predictor|placement|backend)\.(.+)$/.exec(name) ?? []
    if (key !== undefined) {
      optionFlags.push({ kind: kind as PluginKind, key, flag: `--${negated ?? ""}${kind}.${key}` })
      continue
    }
    const next = read[index + 1]
    const value = inline ?? (next === undefined || next.startsWith("-") ? undefined : next)
    if (value === undefined) continue
    if (name === "config") config ??= value
    const named = flagKinds.find((one) => one === name)
    if (named) plugins[named].push(value)
  }
  return { plugins, optionFlags, config, help: read.includes("--help") || read.includes("-h") }
}

/** Flags of `train` that take no value. */
const valueless = /^--(json|no-.*|bos|repack|check-plugins|help)$/

/** The first that is neither a flag nor the value of one. */
const firstArgument = (args: ReadonlyArray<string>): string | undefined =>
  args.find((arg, index) => {
    const before = args[index - 1]
    const isValue = before?.startsWith("--") === true && !before.includes("=") && !valueless.test(before)
    return !arg.startsWith("-") && !isValue
  })
