// Which values do flags and the keys of a settings file take alike?
import * as Schema from "effect/Schema"
import type { QuantizableTypeName } from "powerinfer"

export const count = (minimum: number, maximum = 2 ** 31 - 1) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Tokens that a session holds. */
export const contextTokens = count(1)

/** Rows of one forward pass. */
export const batchRows = count(1, 4096)

/** Of the KV cache. */
export const cacheTypes = ["f16", "f32", "q8_0"] as const

/** What matrices can be written in. */
export const writableTypes = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_K",
  "Q6_K"
] as const satisfies ReadonlyArray<QuantizableTypeName>

/** What a model can be quantized to. */
export const quantizedModelTypes = ["F16", "Q8_0", "Q4_0", "Q4_K"] as const satisfies ReadonlyArray<QuantizableTypeName>
