// What can be chosen about the CPU backend?
import { isaNames } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Options of the backend; all have defaults. Their descriptions are what the command line shows. */
export const CpuOptions = Schema.Struct({
  threads: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 }))
    .annotate({ description: "Threads that compute, the caller included; 0: one per core that this process may use" })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(0))),
  isa: Schema.Literals(isaNames)
    .annotate({ description: "Instruction set of the kernels; auto: the best this CPU has" })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("auto" as const))),
  weights: Schema.Literals(["resident", "mapped"])
    .annotate({
      description:
        "resident: weights are copied into memory when the model is opened, where they are read faster; mapped: they are read from the file's mapping, which opens at once and shares the page cache with other processes"
    })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("resident" as const))),
  repack: Schema.Boolean.annotate({
    description:
      "May a missing MODEL.down_by_neuron be made? If not, a run that names neurons is refused where there is none; one that is there is used"
  }).pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(true))),
  memoryLimitBytes: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)).annotate({
      description:
        "Bytes that resident weights, workspace and KV caches may take together; absent: what the machine has available when the model is opened. Mapped weights do not count: where memory is short, the system drops them and reads them again"
    })
  )
})

export type CpuOptions = typeof CpuOptions.Type
