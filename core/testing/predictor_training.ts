// Does a predictor that learns keep the promises of training?
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { check } from "./assertions.ts"
import { checkRange } from "./predictor_checks.ts"
import { decodeOptions, type PredictorBench, temporaryFolder, trainingContext } from "./predictor_bench.ts"

/** Trains twice from one seed, then opens what came out. */
export const checkTraining = Effect.fnUntraced(function* (
  bench: PredictorBench,
  given: Readonly<Record<string, unknown>>
) {
  const { plugin, model, truth } = bench
  const options: unknown = yield* decodeOptions(plugin, given)
  const folder = yield* temporaryFolder
  const [first, second] = yield* Effect.forEach(["first.bin", "second.bin"], (name) =>
    Effect.scoped(plugin.train!(options, trainingContext(model, truth, 42, join(folder, name))))
  )
  const left = readdirSync(folder).toSorted()
  check(
    left.join() === "first.bin,second.bin",
    `it was to write first.bin and second.bin, there are ${left.join(", ")}`
  )
  const [bytes, again] = left.map((name) => readFileSync(join(folder, name)))
  check(bytes!.length > 0, "it wrote an empty file")
  check(bytes!.equals(again!), "trained twice on the same rows with the same seed, it wrote two different files")
  for (const learned of [first, second]) {
    yield* checkRange({ ...bench, options: learned, open: (asked) => bench.open({ options: learned, ...asked }) })
  }
})
