// Goal: every rule keeps exactly the candidates, with exactly the logits, that its definition names.
// Method: oracle. Random logits with ties and -Infinity, at sizes around the powers of two that shape the heap, against
// the same rule written with a full sort (sort_everything.ts).
import { describe, expect, test } from "bun:test"
import { type Candidates, loadLogits, openCandidates } from "../../core/sampler/candidates.ts"
import { findBest } from "../../core/sampler/greedy.ts"
import { addLogitBias } from "../../core/sampler/logit_bias.ts"
import { keepMinP } from "../../core/sampler/min_p.ts"
import { openTokenWindow, penalize, rememberToken } from "../../core/sampler/penalties.ts"
import { randomFromSeed } from "../../core/sampler/random.ts"
import { keepTopK } from "../../core/sampler/top_k.ts"
import { keepTopP } from "../../core/sampler/top_p.ts"
import * as oracle from "./sort_everything.ts"

const sizes = [1, 2, 3, 7, 8, 9, 63, 64, 65, 1000]

/** Half of them on a coarse grid, so that ties are common; some impossible; token 0 always possible. */
const randomLogits = (seed: number, size: number): Float32Array => {
  const random = randomFromSeed(seed)
  return Float32Array.from({ length: size }, (_, token) => {
    const logit = 12 * random.nextUniform() - 6
    if (token > 0 && random.nextUniform() < 0.1) return -Infinity
    return random.nextUniform() < 0.5 ? Math.round(logit) : logit
  })
}

const candidatesOf = (logits: Float32Array): Candidates => {
  const candidates = openCandidates(logits.length)
  loadLogits(candidates, logits)
  candidates.bestLogit = candidates.logit[findBest(candidates)]!
  return candidates
}

const entriesOf = (logits: Float32Array): Array<oracle.Entry> =>
  Array.from(logits, (logit, token) => ({ token, logit }))

const left = (candidates: Candidates): Array<oracle.Entry> =>
  Array.from({ length: candidates.count }, (_, i) => ({ token: candidates.id[i]!, logit: candidates.logit[i]! }))

for (const size of sizes) {
  for (let seed = 1; seed <= 20; seed++) {
    const logits = randomLogits(seed, size)

    describe(`${size} tokens, seed ${seed}`, () => {
      test("findBest() names the first of a full sort", () => {
        const candidates = candidatesOf(logits)
        expect(findBest(candidates)).toBe(oracle.sorted(entriesOf(logits))[0]!.token)
      })

      test("keepTopK() keeps the first k of a full sort, in that order", () => {
        for (const k of [1, 2, 3, 40, size >> 1, size - 1].filter((k) => k > 0 && k < size)) {
          const candidates = candidatesOf(logits)
          keepTopK(candidates, k)
          expect(left(candidates)).toEqual(oracle.topK(entriesOf(logits), k))
          expect(candidates.bestFirst).toBe(true)
        }
      })

      test("keepTopK() keeps everything when k reaches the number of candidates", () => {
        for (const k of [size, size + 1, 2 ** 32 - 1]) {
          const candidates = candidatesOf(logits)
          keepTopK(candidates, k)
          expect(left(candidates)).toEqual(entriesOf(logits))
        }
      })

      test("keepTopP() keeps the shortest run of a full sort that reaches p", () => {
        for (const p of [1e-9, 0.1, 0.5, 0.9, 0.999]) {
          const candidates = candidatesOf(logits)
          keepTopP(candidates, p)
          expect(left(candidates)).toEqual(oracle.topP(entriesOf(logits), p))
        }
      })

      test("keepTopP() after keepTopK() judges only what top-k has left", () => {
        const k = Math.max(1, size >> 2)
        const candidates = candidatesOf(logits)
        keepTopK(candidates, k)
        keepTopP(candidates, 0.8)
        expect(left(candidates)).toEqual(oracle.topP(oracle.topK(entriesOf(logits), k), 0.8))
      })

      test("keepMinP() keeps what is likely enough next to the best, in the order it had", () => {
        for (const p of [1e-6, 0.05, 0.5]) {
          const candidates = candidatesOf(logits)
          keepMinP(candidates, p)
          expect(left(candidates)).toEqual(oracle.minP(entriesOf(logits), p))
        }
      })

      test("addLogitBias() adds each bias to its own token and to no other", () => {
        const random = randomFromSeed(seed)
        const tokens = Uint32Array.from({ length: Math.min(size, 5) }, (_, i) => (i * 7) % size)
        const distinct = Uint32Array.from(new Set(tokens))
        const biases = Float64Array.from(distinct, () => 20 * random.nextUniform() - 10)
        const candidates = candidatesOf(logits)
        addLogitBias(candidates, distinct, biases)
        const expected = entriesOf(logits).map(({ token, logit }) => {
          const k = distinct.indexOf(token)
          return { token, logit: k === -1 ? logit : logit + biases[k]! }
        })
        expect(left(candidates)).toEqual(expected)
      })

      test("penalize() charges the last tokens of the window, each once", () => {
        const random = randomFromSeed(seed)
        const accepted = Array.from({ length: 50 }, () => Math.floor(random.nextUniform() * size))
        const options = { repetitionPenalty: 1.3, presencePenalty: 0.4, frequencyPenalty: 0.2 }
        for (const windowSize of [1, 7, 49, 50, 51]) {
          const window = openTokenWindow(windowSize, size)
          for (const token of accepted) rememberToken(window, token)
          const candidates = candidatesOf(logits)
          penalize(candidates, window, options)
          expect(left(candidates)).toEqual(oracle.penalties(entriesOf(logits), accepted.slice(-windowSize), options))
          expect(window.occurrences.every((count) => count === 0)).toBe(true)
        }
      })
    })
  }
}

test("keepMinP() with p = 1 keeps exactly the ties of the best", () => {
  const candidates = candidatesOf(Float32Array.of(1, 3, 2, 3, -Infinity))
  keepMinP(candidates, 1)
  expect(left(candidates)).toEqual([
    { token: 1, logit: 3 },
    { token: 3, logit: 3 }
  ])
})

test("penalize() makes a token less likely whatever the sign of its logit", () => {
  const window = openTokenWindow(8, 3)
  for (const token of [0, 1, 2]) rememberToken(window, token)
  const candidates = candidatesOf(Float32Array.of(2, 0, -2))
  penalize(candidates, window, { repetitionPenalty: 2, presencePenalty: 0, frequencyPenalty: 0 })
  expect(left(candidates).map((entry) => entry.logit)).toEqual([1, 0, -4])
})
