// What can be chosen about the CUDA backend?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isBudget } from "./vram_budget.ts"

/** Options of the backend; all have defaults. Their descriptions are what the command line shows. */
export const CudaOptions = Schema.Struct({
  device: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1023 }))
    .annotate({ description: "Which GPU, numbered as CUDA numbers them from 0" })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(0))),
  vramBudget: Schema.optionalKey(
    Schema.String.check(Schema.makeFilter(isBudget)).annotate({
      description:
        "Memory of the GPU that weights, KV cache, predictors and workspace may take together: 8GiB, 500MB; absent: what is free, less a margin"
    })
  ),
  simulated: Schema.Boolean.annotate({
    description:
      "Run the same kernels on a simulator on the CPU: for tests and for trying plans, thousands of times slower than a GPU"
  }).pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(false)))
})

export type CudaOptions = typeof CudaOptions.Type
