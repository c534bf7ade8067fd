// What can be chosen about the CPU backend?
import { isaNames } from "@powerinfer/core"
import { Effect, Schema } from "effect"

/** Options of the backend; all have defaults. */
export const CpuOptions = Schema.Struct({
  /** Threads that compute, the caller included. 0: one per core that this process may use. */
  threads: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 })).pipe(
    Schema.withDecodingDefaultTypeKey(Effect.succeed(0))
  ),
  /** Instruction set of the kernels. `auto`: the best this CPU has. */
  isa: Schema.Literals(isaNames).pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("auto" as const))),
  /**
   * `resident`: weights are copied into memory when the model is opened, where they are read faster; `mapped`: they are read from the file's
   * mapping, which opens at once and shares the page cache with other processes.
   */
  weights: Schema.Literals(["resident", "mapped"]).pipe(
    Schema.withDecodingDefaultTypeKey(Effect.succeed("resident" as const))
  ),
  /** May a missing `<model>.down_by_neuron` be made? If not, a run that names neurons is refused where there is none; one that is there is used. */
  repack: Schema.Boolean.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(true))),
  /**
   * Bytes that resident weights, workspace and KV caches may take together; by default what the machine has available when the model is opened.
   * Mapped weights do not count: where memory is short, the system drops them and reads them again.
   */
  memoryLimitBytes: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))
})

export type CpuOptions = typeof CpuOptions.Type
