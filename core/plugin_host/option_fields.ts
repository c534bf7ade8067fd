// What can be chosen about a plugin? Its options Schema as a flat list: for flags, help texts and the keys of a file.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

/** One option, as people write it: the encoded side of the Schema. */
export interface OptionField {
  readonly key: string
  /** `json`: anything else than the other kinds, a list or "a number or a word" for one. */
  readonly kind: "integer" | "number" | "boolean" | "text" | "choice" | "json"
  /** Of a choice. */
  readonly choices?: ReadonlyArray<string | number | boolean>
  /** The `description` annotation of the field, or of its key. */
  readonly description?: string
  /** False where the key may be left out. */
  readonly required: boolean
  /** What an absent key decodes to. */
  readonly default?: unknown
}

/**
 * The fields of a Schema of options, in their order.
 *
 * - returns  nothing for a Schema that is no struct (a record, a union): its keys are not known before it decodes
 * - default  found by decoding an object without the key; one that takes time or services is not looked for
 */
export const optionFields = ({ ast }: Schema.Top): ReadonlyArray<OptionField> => {
  const written = lastEncoding(unsuspended(ast))
  if (!SchemaAST.isObjects(written)) return []
  return written.propertySignatures.flatMap((signature) =>
    typeof signature.name === "string" ? [fieldOf(signature.name, signature)] : []
  )
}

const fieldOf = (key: string, signature: SchemaAST.PropertySignature): OptionField => {
  const written = SchemaAST.toEncoded(signature.type)
  const description = descriptionOf(signature.type)
  return {
    key,
    ...kindOf(written),
    ...(description !== undefined && { description }),
    required: !SchemaAST.isOptional(written),
    ...defaultOf(key, signature)
  }
}

/** A class or a struct with renamed keys is written as what it decodes from. */
const lastEncoding = (ast: SchemaAST.AST): SchemaAST.AST => {
  const link = ast.encoding?.at(-1)
  return link === undefined ? ast : lastEncoding(unsuspended(link.to))
}

const unsuspended = (ast: SchemaAST.AST): SchemaAST.AST => (SchemaAST.isSuspend(ast) ? unsuspended(ast.thunk()) : ast)

/** The members of a union, or the type itself; an absent key that may also be written as undefined is no member. */
const membersOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) ? ast.types.filter((type) => !SchemaAST.isUndefined(type)).flatMap(membersOf) : [ast]

const kindOf = (ast: SchemaAST.AST): Pick<OptionField, "kind" | "choices"> => {
  const members = membersOf(ast)
  const choices = members.flatMap(literalsOf)
  if (choices.length > 0 && members.every((member) => literalsOf(member).length > 0)) return { kind: "choice", choices }
  const [only, ...others] = members
  if (only === undefined || others.length > 0) return { kind: "json" }
  if (SchemaAST.isNumber(only)) {
    return { kind: [...(ast.checks ?? []), ...(only.checks ?? [])].some(wantsInteger) ? "integer" : "number" }
  }
  if (SchemaAST.isBoolean(only)) return { kind: "boolean" }
  return { kind: SchemaAST.isString(only) || SchemaAST.isTemplateLiteral(only) ? "text" : "json" }
}

const literalsOf = (ast: SchemaAST.AST): ReadonlyArray<string | number | boolean> => {
  if (SchemaAST.isEnum(ast)) return ast.enums.map(([, value]) => value)
  return SchemaAST.isLiteral(ast) && typeof ast.literal !== "bigint" ? [ast.literal] : []
}

const wantsInteger = (check: SchemaAST.Check<never>): boolean =>
  check._tag === "FilterGroup"
    ? check.checks.some(wantsInteger)
    : check.annotations?.representation?.id === "effect/schema/isInt"

/** An annotation stays with the check before it: each may hold one, the last is meant. */
const descriptionOf = (ast: SchemaAST.AST): string | undefined => {
  const annotations = [
    ast.context?.annotations,
    ...(ast.checks ?? []).map((check) => check.annotations).toReversed(),
    ast.annotations
  ]
  const own = annotations.map((one) => one?.["description"]).find((text) => typeof text === "string")
  if (own !== undefined) return own
  const [only, ...others] = membersOf(ast)
  if (only !== undefined && only !== ast && others.length === 0) return descriptionOf(only)
  return ast.encoding?.map(({ to }) => descriptionOf(to)).find((text) => text !== undefined)
}

const defaultOf = (key: string, signature: SchemaAST.PropertySignature): Pick<OptionField, "default"> => {
  const alone: Schema.Codec<Readonly<Record<string, unknown>>, unknown> = Schema.make(
    new SchemaAST.Objects([signature], [])
  )
  const decoded = Effect.runSyncExit(Schema.decodeUnknownEffect(alone)({}))
  if (Exit.isFailure(decoded)) return {}
  const value = decoded.value[key]
  return value === undefined ? {} : { default: value }
}
