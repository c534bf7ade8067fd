// How do the options of plugins become flags? --predictor.share 0.1
import * as Option from "effect/Option"
import * as Flag from "effect/cli/Flag"
import { type OptionField, type PluginKind, valueOf } from "powerinfer"
import { flagKinds } from "./argument_scan.ts"
import type { KnownField, KnownOptions } from "./known_options.ts"
import { showValue } from "./option_text.ts"

/** An option as it was given by a flag. */
export interface GivenOption {
  /** The flag, for reports: "--predictor.share", "--no-backend.repack". */
  readonly from: string
  /** Its value for a plugin that has this field. */
  readonly read: (field: OptionField) => unknown
}

/** By "predictor.share". */
export type GivenOptions = Readonly<Record<string, GivenOption | undefined>>

/** A flag for every option of every plugin that is known. */
export const optionFlags = (known: KnownOptions): Readonly<Record<string, Flag.Flag<GivenOption | undefined>>> =>
  Object.fromEntries(
    flagKinds.flatMap((kind) =>
      known.fields[kind].map((field) => [`${kind}.${field.key}`, optionFlag(kind, field, known)] as const)
    )
  )

const optionFlag = (kind: PluginKind, field: KnownField, known: KnownOptions): Flag.Flag<GivenOption | undefined> => {
  const name = `${kind}.${field.key}`
  const several = new Set(known.fields[kind].flatMap(({ owners }) => owners)).size > 1
  return typedFlag(name, field).pipe(
    Flag.withDescription(describeOption(field, several, name)),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )
}

const typedFlag = (name: string, field: KnownField): Flag.Flag<GivenOption> => {
  const given = <Value>(flag: Flag.Flag<Value>) =>
    Flag.map(flag, (value): GivenOption => ({
      from: value === false ? `--no-${name}` : `--${name}`,
      read: () => value
    }))
  switch (field.kind) {
    case "integer":
      return given(Flag.Int(name))
    case "number":
      return given(Flag.Finite(name))
    case "boolean":
      return given(Flag.Boolean(name))
    case "text":
      return given(Flag.String(name))
    case "choice":
      return given(
        Flag.ChoiceWithValue(
          name,
          (field.choices ?? []).map((choice) => [String(choice), choice] as const)
        )
      )
    case "json":
      return Flag.String(name).pipe(
        Flag.withMetavar("JSON"),
        Flag.map((text) => ({ from: `--${name}`, read: ({ kind }) => (kind === "text" ? text : valueOf(text)) }))
      )
  }
}

/** "cpu: threads that compute; default 0". */
const describeOption = (field: KnownField, several: boolean, name: string): string => {
  const about = field.description ?? `Option ${field.key} of the plugin`
  return [
    several ? `${field.owners.join(", ")}: ${about}` : about,
    ...(field.default === undefined ? [] : [`default ${showValue(field.default)}`]),
    ...(field.required ? ["required"] : []),
    ...(field.kind === "boolean" && field.default === true ? [`--no-${name} says no`] : [])
  ].join("; ")
}
