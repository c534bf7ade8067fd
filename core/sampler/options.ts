// Which knobs does a user have over the choice of the next token, and what may they be set to?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** The longest window that penalties may look back over: 4 MiB of token ids. */
const penaltyWindowMax = 2 ** 20

/** Adds its value to a token's logit; `-Infinity` forbids the token. Keys are token ids in decimal, as in OpenAI's `logit_bias`. */
const LogitBias = Schema.Record(Schema.String, Schema.Number).check(
  Schema.makeFilter((biases: { readonly [token: string]: number }) => {
    for (const [token, bias] of Object.entries(biases)) {
      if (!/^(0|[1-9]\d{0,9})$/.test(token) || Number(token) >= 2 ** 32) return `"${token}" is not a token id`
      if (bias !== -Infinity && !(Math.abs(bias) <= 1e6)) {
        return `the bias of token ${token} is ${bias}; use a number from -1000000 to 1000000, or -Infinity to forbid it`
      }
    }
    return undefined
  })
)

/** A number whose absence, when decoding and when constructing alike, means `value()`. */
const withDefault = (value: () => number) => (schema: Schema.Codec<number> & Schema.WithoutConstructorDefault) =>
  schema.pipe(Schema.withDecodingDefaultType(Effect.sync(value)), Schema.withConstructorDefault(Effect.sync(value)))

/**
 * How the next token is drawn. Every field has a default; those that are "off" by default are marked so.
 *
 * The defaults and the order of the rules are those of llama.cpp (`common_params_sampling` in its common/common.h):
 * logit bias → penalties → top-k → top-p → min-p → temperature → draw.
 * The rules that keep candidates (top-k, top-p, min-p) therefore judge the model's own distribution, before temperature.
 *
 * - `SamplerOptions.make({ temperature: 0 })` fills in the rest and throws on a value out of range
 * - `Schema.decodeUnknownEffect(SamplerOptions)` does the same with a typed error
 */
export const SamplerOptions = Schema.Struct({
  /** Divides the logits. 0 always takes the most likely token (greedy), whatever the rest says. */
  temperature: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 })).pipe(withDefault(() => 0.8)),
  /** Keeps the k most likely tokens. 0 = off. */
  topK: Schema.Int.check(Schema.isUint32()).pipe(withDefault(() => 40)),
  /** Keeps the most likely tokens until their probabilities reach this sum. 1 = off. */
  topP: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).pipe(withDefault(() => 0.95)),
  /** Keeps the tokens at least this share as likely as the most likely one. 0 = off. */
  minP: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).pipe(withDefault(() => 0.05)),
  /** Divides positive and multiplies negative logits of recent tokens. 1 = off. */
  repetitionPenalty: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(100)).pipe(
    withDefault(() => 1)
  ),
  /** Subtracted once from the logit of every recent token. 0 = off. */
  presencePenalty: Schema.Finite.check(Schema.isBetween({ minimum: -100, maximum: 100 })).pipe(withDefault(() => 0)),
  /** Subtracted from the logit of a recent token once per occurrence. 0 = off. */
  frequencyPenalty: Schema.Finite.check(Schema.isBetween({ minimum: -100, maximum: 100 })).pipe(withDefault(() => 0)),
  /** How many of the last tokens, prompt included, count as recent. 0 = no penalties. */
  penaltyWindow: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: penaltyWindowMax })).pipe(
    withDefault(() => 64)
  ),
  /** Token id → what to add to its logit. */
  logitBias: LogitBias.pipe(
    Schema.withDecodingDefaultType(Effect.succeed({})),
    Schema.withConstructorDefault(Effect.succeed({}))
  ),
  /** Same seed, same logits: same tokens. Drawn at random when absent, and then visible here so that a run can report it. */
  seed: Schema.Int.check(Schema.isUint32()).pipe(withDefault(() => Math.floor(Math.random() * 2 ** 32)))
})

/** See the schema of the same name. */
export type SamplerOptions = typeof SamplerOptions.Type
