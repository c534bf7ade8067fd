// Learns one number a block, keeps each as a piece, and can be made to fail after the first: what training has to survive.
import { writeFileSync } from "node:fs"
import { definePlugin, PredictorFailure } from "@powerinfer/core"
import { Effect, Schema } from "effect"

/** Set by tests. */
export const trainingPlan = { failsAfterPiece: false, writes: true, passes: 0 }

export default definePlugin({
  kind: "predictor",
  name: "last_seen",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ file: Schema.optionalKey(Schema.String), scale: Schema.optionalKey(Schema.Int) }),
  open: () =>
    Effect.succeed({ proposes: "every", confirms: true, exact: true, select: (_b, _h, active) => active.fill() }),
  train: Effect.fnUntraced(function* (options, { model, rows, rowCount, seed, out, checkpoint, openPredictor }) {
    const blocks = Array.from({ length: model.shape.blockCount }, (_, block) => {
      const known = checkpoint?.read(`block_${block}`)
      if (known) return new TextDecoder().decode(known)
      trainingPlan.passes++
      const sum = Array.from(rows(block), (one) => one.activations.reduce((all, value) => all + value, 0))
      const learned = `${seed} ${rowCount} ${(options.scale ?? 1) * sum.reduce((all, value) => all + value, 0)}`
      checkpoint?.write(`block_${block}`, new TextEncoder().encode(learned))
      if (trainingPlan.failsAfterPiece) throw new Error("the lights went out")
      return learned
    })
    // Another predictor can be had, and asked.
    const named = yield* Effect.scoped(Effect.result(openPredictor("nobody")))
    if (named._tag === "Success")
      return yield* new PredictorFailure({ predictor: "last_seen", reason: "nobody opened" })
    if (trainingPlan.writes) writeFileSync(out, blocks.join("\n"))
    return { ...options, file: out }
  })
})
