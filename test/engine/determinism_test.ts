// Goal: the same prompt and the same seed give one output, bit for bit, whatever the number of threads and however the scheduler interleaves them.
// Method: sampled generations, repeated at 1, 2, 3 and 8 threads; a digest of every logit of every step must be the same in all of them. More threads
// than cores are stopped in the middle of their work by the system, as on a busy machine.
import { createHash } from "node:crypto"
import { expect, test } from "bun:test"
import { Batch, openForward, openSampler, type OpenPlan, SamplerOptions } from "@powerinfer/core"
import { Effect } from "effect"
import { cpu, everyNeuron, exactGate, has, models, withPlan } from "../support/plans.ts"

const prompt = [1, 3258, 1922, 706, 583, 160, 1638, 2493, 301, 3465]
const tokenCount = 24
const runCount = 5
const sampling = SamplerOptions.make({ temperature: 1, seed: 7 })

/** Draws `tokenCount` tokens in a session of its own: the tokens, and SHA-256 of the logits they were drawn from. */
const generateOnce = (plan: OpenPlan): Promise<{ tokens: ReadonlyArray<number>; logits: string }> =>
  Effect.gen(function* () {
    const cache = yield* plan.home.openCache(prompt.length + tokenCount, "f16")
    const forward = openForward(plan)
    const batch = new Batch(plan.rowCountMax)
    const sampler = openSampler(sampling, plan.model.shape.vocabularySize)
    const digest = createHash("sha256")
    const tokens = [...prompt]
    for (let done = 0; tokens.length < prompt.length + tokenCount;) {
      batch.clear()
      for (; done < tokens.length; done++) batch.add(tokens[done]!, done, cache, done === tokens.length - 1)
      const logits = forward(batch)!
      digest.update(logits)
      tokens.push(sampler.sample(logits))
    }
    return { tokens: tokens.slice(prompt.length), logits: digest.digest("hex") }
  }).pipe(Effect.scoped, Effect.runPromise)

for (const [type, path] of Object.entries(models)) {
  for (const predictor of [everyNeuron, exactGate]) {
    test.skipIf(!has("backend", "cpu"))(
      `${runCount} sampled generations at 1, 2, 3 and 8 threads each are one output on ${type}, with ${predictor.name}`,
      async () => {
        const outputs = new Map<string, ReadonlyArray<number>>()
        for (const threads of [1, 2, 3, 8]) {
          await withPlan(path, { predictor, backends: [cpu({ threads })] }, async (plan) => {
            for (let run = 0; run < runCount; run++) {
              const { tokens, logits } = await generateOnce(plan)
              outputs.set(logits, tokens)
            }
          })
        }
        expect(outputs.size).toBe(1)
        // Drawn, not always the most likely or the same: a sampler that ignored the logits would pass too easily.
        expect(new Set(outputs.values().next().value).size).toBeGreaterThan(4)
      }
    )
  }
}
