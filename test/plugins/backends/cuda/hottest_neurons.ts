// Which neurons of a model are hot? Counted by a profile of a short text.
import {
  type ActivationProfile,
  corpusOfBytes,
  openModel,
  openPlan,
  openTokenizer,
  profileModel
} from "@powerinfer/core"
import { Effect } from "effect"
import { planOptions } from "../../../support/plans.ts"

/** A profile of the beginning of a text. */
export const profileOf = (path: string, text: Uint8Array): Promise<ActivationProfile> =>
  Effect.gen(function* () {
    const model = yield* openModel(path)
    const plan = yield* openPlan(model, planOptions(), () => {})
    const corpus = yield* corpusOfBytes("text", text)
    return yield* profileModel(plan, yield* openTokenizer(model.gguf.metadata), [corpus], {
      windowTokens: 512,
      bos: true,
      threshold: 0,
      cacheType: "f16",
      runsWith: {},
      announce: () => {},
      onProgress: () => {}
    })
  }).pipe(Effect.scoped, Effect.runPromise)

/** The share of every block's neurons that fires most often, ids ascending. */
export const hottestNeurons = ({ blocks }: ActivationProfile, share: number): ReadonlyArray<ReadonlyArray<number>> =>
  blocks.map(({ firingCounts }) =>
    [...firingCounts.keys()]
      .sort((a, b) => firingCounts[b]! - firingCounts[a]!)
      .slice(0, Math.round(share * firingCounts.length))
      .sort((a, b) => a - b)
  )
