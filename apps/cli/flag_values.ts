// Which values do flags and the keys of a settings file take alike?
import { Schema } from "effect"

export const count = (minimum: number, maximum = 2 ** 31 - 1) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Tokens that a session holds. */
export const contextTokens = count(1)

/** Rows of one forward pass. */
export const batchRows = count(1, 4096)

/** Of the KV cache. */
export const cacheTypes = ["f16", "f32", "q8_0"] as const
