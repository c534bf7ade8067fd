// Goal: what a Schema of options accepts and what its fields say are the same thing, for any Schema that a stranger may write.
// Method: fields of many declarations beside what they must be; then every example that a field's kind promises is decoded by the Schema itself.
import { describe, expect, test } from "bun:test"
import { type OptionField, optionFields } from "@powerinfer/core"
import { Effect, Exit, Schema } from "effect"

/** What `enum` compiles to. */
const Mode = { Fast: "fast", Slow: "slow" } as const

const between = Schema.isBetween({ minimum: 0, maximum: 9 })
const two = Effect.succeed(2)

/** What is declared → its field, without the key. */
const declarations: Readonly<Record<string, readonly [Schema.Top, Omit<OptionField, "key">]>> = {
  "an integer": [Schema.Int, { kind: "integer", required: true }],
  "an integer within bounds": [Schema.Int.check(between), { kind: "integer", required: true }],
  "32 bits": [Schema.Number.check(Schema.isInt32()), { kind: "integer", required: true }],
  "a number": [Schema.Number, { kind: "number", required: true }],
  "a finite number that may be left out": [Schema.optionalKey(Schema.Finite), { kind: "number", required: false }],
  "a number or undefined": [Schema.optional(Schema.Finite), { kind: "number", required: false }],
  "a default of the key, in the decoded form": [
    Schema.Int.pipe(Schema.withDecodingDefaultTypeKey(two)),
    { kind: "integer", required: false, default: 2 }
  ],
  "a default of the key, in the encoded form": [
    Schema.NumberFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("2"))),
    { kind: "text", required: false, default: 2 }
  ],
  "a default of the value": [
    Schema.Int.pipe(Schema.withDecodingDefaultType(two)),
    { kind: "integer", required: false, default: 2 }
  ],
  "a default that must be waited for": [
    Schema.Int.pipe(Schema.withDecodingDefaultTypeKey(Effect.delay(two, 1))),
    { kind: "integer", required: false }
  ],
  "a boolean": [Schema.Boolean, { kind: "boolean", required: true }],
  "a text": [Schema.String.check(Schema.isNonEmpty()), { kind: "text", required: true }],
  "a text that becomes a number": [Schema.NumberFromString, { kind: "text", required: true }],
  words: [Schema.Literals(["a", "b"]), { kind: "choice", choices: ["a", "b"], required: true }],
  "one word": [Schema.Literal("a"), { kind: "choice", choices: ["a"], required: true }],
  "numbers to choose from": [
    Schema.optional(Schema.Literals([4, 8])),
    { kind: "choice", choices: [4, 8], required: false }
  ],
  "an enum": [Schema.Enum(Mode), { kind: "choice", choices: ["fast", "slow"], required: true }],
  "a number or a word": [Schema.Union([Schema.Int, Schema.Literal("auto")]), { kind: "json", required: true }],
  "a number or null": [Schema.NullOr(Schema.Int), { kind: "json", required: true }],
  "a list": [Schema.Array(Schema.Int), { kind: "json", required: true }],
  "a struct": [Schema.Struct({ a: Schema.Int }), { kind: "json", required: true }],
  anything: [Schema.Unknown, { kind: "json", required: true }],
  "a description": [
    Schema.Int.annotate({ description: "of the value" }),
    { kind: "integer", required: true, description: "of the value" }
  ],
  "a description before a check": [
    Schema.Int.annotate({ description: "of the value" }).check(between),
    { kind: "integer", required: true, description: "of the value" }
  ],
  "a description before a default": [
    Schema.Boolean.annotate({ description: "of the value" }).pipe(
      Schema.withDecodingDefaultTypeKey(Effect.succeed(true))
    ),
    { kind: "boolean", required: false, default: true, description: "of the value" }
  ],
  "a description within what may be undefined": [
    Schema.optional(Schema.String.annotate({ description: "of the value" })),
    { kind: "text", required: false, description: "of the value" }
  ],
  "a description of the key": [
    Schema.Int.annotate({ description: "of the value" }).annotateKey({ description: "of the key" }),
    { kind: "integer", required: true, description: "of the key" }
  ]
}

const fieldsOf = (schema: Schema.Top) => optionFields(schema)

describe("optionFields()", () => {
  for (const [what, [schema, field]] of Object.entries(declarations)) {
    test(`tells ${what}`, () => {
      expect(fieldsOf(Schema.Struct({ key: schema }))).toEqual([{ key: "key", ...field }])
    })
  }

  test("keeps the order of the keys, and sees through checks, classes, renamed keys and suspension", () => {
    const struct = Schema.Struct({ b: Schema.Int, a: Schema.optionalKey(Schema.String) })
    const expected = [
      { key: "b", kind: "integer", required: true },
      { key: "a", kind: "text", required: false }
    ] as const
    class Options extends Schema.Class<Options>("Options")({ b: Schema.Int, a: Schema.optionalKey(Schema.String) }) {}
    expect(fieldsOf(struct)).toEqual(expected)
    expect(fieldsOf(struct.check(Schema.makeFilter(() => undefined)))).toEqual(expected)
    expect(fieldsOf(Options)).toEqual(expected)
    expect(fieldsOf(Schema.suspend(() => struct))).toEqual(expected)
    expect(fieldsOf(struct.pipe(Schema.encodeKeys({ b: "beta" }))).map(({ key }) => key)).toEqual(["beta", "a"])
  })

  for (const [what, schema] of [
    ["a record", Schema.Record(Schema.String, Schema.Int)],
    ["a union of structs", Schema.Union([Schema.Struct({ a: Schema.Int }), Schema.Struct({ b: Schema.Int })])],
    ["a text", Schema.String],
    ["anything", Schema.Unknown],
    ["nothing to choose", Schema.Struct({})]
  ] as const) {
    test(`finds no fields in ${what}`, () => {
      expect(fieldsOf(schema)).toEqual([])
    })
  }
})

/** What may be written for a field; of texts and JSON only the Schema knows. */
const examplesOf = ({ kind, choices = [] }: OptionField): ReadonlyArray<unknown> => {
  if (kind === "choice") return choices
  return { integer: [3], number: [3, 0.5], boolean: [true, false], text: [], json: [] }[kind]
}

describe("a field of optionFields()", () => {
  for (const [what, [schema]] of Object.entries(declarations)) {
    const struct = Schema.Struct({ key: schema }) as unknown as Schema.Codec<{ readonly key?: unknown }, unknown>
    const [field] = fieldsOf(struct)

    test(`of ${what} promises what the Schema accepts`, async () => {
      const decode = (input: unknown) =>
        Effect.runPromiseExit(Schema.decodeUnknownEffect(struct)(input, { onExcessProperty: "error" }))
      const absent = await decode({})
      expect(Exit.isSuccess(absent)).toBe(!field!.required)
      if ("default" in field!) expect(absent).toEqual(Exit.succeed({ key: field.default }))
      for (const example of examplesOf(field!)) expect(Exit.isSuccess(await decode({ key: example }))).toBeTrue()
      if (field!.kind === "integer") expect(Exit.isSuccess(await decode({ key: 0.5 }))).toBeFalse()
      if (field!.kind === "choice") expect(Exit.isSuccess(await decode({ key: "none of them" }))).toBeFalse()
    })
  }
})
