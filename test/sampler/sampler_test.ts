// Goal: the chain draws from the distribution that its options define, repeatably, and refuses what cannot be drawn from.
// Method: chi-square against the exact distribution of sort_everything.ts; pinned sequences; the edges one by one.
import { describe, expect, test } from "bun:test"
import { SamplerOptions } from "../../core/sampler/options.ts"
import { randomFromSeed } from "../../core/sampler/random.ts"
import { BiasOutsideVocabulary, openSampler, UnusableLogits } from "../../core/sampler/sampler.ts"
import { distribution } from "./sort_everything.ts"

const plain = { temperature: 1, topK: 0, topP: 1, minP: 0 }

const randomLogits = (seed: number, size: number): Float32Array => {
  const random = randomFromSeed(seed)
  return Float32Array.from({ length: size }, () => 5 * random.nextUniform() - 2.5)
}

/** The value that a chi-square variable of `freedom` degrees passes once in 10,000 times (Wilson and Hilferty, 1931). */
const chiSquareLimit = (freedom: number): number => {
  const spread = 2 / (9 * freedom)
  return freedom * (1 - spread + 3.719 * Math.sqrt(spread)) ** 3
}

const chains: Record<string, Parameters<typeof SamplerOptions.make>[0]> = {
  "temperature 1": plain,
  "temperature 0.5": { ...plain, temperature: 0.5 },
  "temperature 2": { ...plain, temperature: 2 },
  "top-k 5": { ...plain, topK: 5 },
  "top-p 0.7": { ...plain, topP: 0.7 },
  "min-p 0.2": { ...plain, minP: 0.2 },
  "logit bias": { ...plain, logitBias: { 3: 2, 4: -Infinity, 7: -1 } },
  penalties: { ...plain, repetitionPenalty: 1.5, presencePenalty: 0.5, frequencyPenalty: 0.25, penaltyWindow: 6 },
  "every rule at once": {
    temperature: 1.4,
    topK: 12,
    topP: 0.9,
    minP: 0.02,
    repetitionPenalty: 1.2,
    presencePenalty: 0.2,
    frequencyPenalty: 0.1,
    logitBias: { 0: 1.5 }
  },
  defaults: {}
}

describe("openSampler() draws from the exact distribution", () => {
  const accepted = [1, 2, 3, 2, 9, 9, 14, 9]
  for (const [name, chain] of Object.entries(chains)) {
    for (let seed = 1; seed <= 3; seed++) {
      test(`${name} (seed ${seed})`, () => {
        const logits = randomLogits(seed, 16)
        const options = SamplerOptions.make({ ...chain, seed })
        const sampler = openSampler(options, 16)
        for (const token of accepted) sampler.accept(token)
        const expected = distribution(logits, options, accepted)

        const drawCount = 20_000
        const seen = new Uint32Array(16)
        for (let i = 0; i < drawCount; i++) seen[sampler.sample(logits)]!++

        let chiSquare = 0
        for (let token = 0; token < 16; token++) {
          const wanted = (expected.get(token) ?? 0) * drawCount
          if (wanted === 0) expect(seen[token]).toBe(0)
          else chiSquare += (seen[token]! - wanted) ** 2 / wanted
        }
        expect(chiSquare).toBeLessThan(chiSquareLimit(Math.max(1, expected.size - 1)))
      })
    }
  }
})

const generate = (seed: number) => {
  const sampler = openSampler(SamplerOptions.make({ seed, repetitionPenalty: 1.1 }), 1000)
  return Array.from({ length: 200 }, (_, step) => {
    const token = sampler.sample(randomLogits(step, 1000))
    sampler.accept(token)
    return token
  })
}

describe("Sampler is repeatable", () => {
  test("the same seed gives the same tokens", () => {
    expect(generate(42)).toEqual(generate(42))
  })

  test("another seed gives other tokens", () => {
    expect(generate(42)).not.toEqual(generate(43))
  })

  test("the first tokens of seed 42 are the ones pinned here, on every machine", () => {
    expect(generate(42).slice(0, 8)).toEqual([201, 323, 559, 116, 492, 745, 472, 38])
  })

  test("sample() leaves the logits as they were", () => {
    const logits = randomLogits(1, 1000)
    openSampler(SamplerOptions.make({ logitBias: { 1: 5 }, seed: 1 }), 1000).sample(logits)
    expect(logits).toEqual(randomLogits(1, 1000))
  })
})

const greedy = (options: Parameters<typeof SamplerOptions.make>[0]) =>
  openSampler(SamplerOptions.make({ ...options, temperature: 0 }), 4)

describe("Sampler at temperature 0", () => {
  test("takes the largest logit after bias and penalties, whatever the other rules say", () => {
    const logits = Float32Array.of(1, 5, 4, 3)
    expect(greedy({}).sample(logits)).toBe(1)
    expect(greedy({ topK: 1, topP: 1e-9, minP: 1 }).sample(logits)).toBe(1)
    expect(greedy({ logitBias: { 3: 2.5 } }).sample(logits)).toBe(3)
    const penalized = greedy({ presencePenalty: 1.5 })
    penalized.accept(1)
    expect(penalized.sample(logits)).toBe(2)
  })

  test("takes the lowest id of a tie", () => {
    const sampler = openSampler(SamplerOptions.make({ temperature: 0 }), 5)
    expect(sampler.sample(Float32Array.of(0, 7, 3, 7, 7))).toBe(1)
  })

  test("forgets a penalized token once it has left the window", () => {
    const sampler = openSampler(SamplerOptions.make({ temperature: 0, presencePenalty: 9, penaltyWindow: 2 }), 3)
    const logits = Float32Array.of(5, 1, 0)
    const tokens = Array.from({ length: 6 }, () => {
      const token = sampler.sample(logits)
      sampler.accept(token)
      return token
    })
    expect(tokens).toEqual([0, 1, 2, 0, 1, 2])
  })

  test("ignores the penalties when the window is 0", () => {
    const sampler = openSampler(SamplerOptions.make({ temperature: 0, presencePenalty: 9, penaltyWindow: 0 }), 2)
    sampler.accept(0)
    expect(sampler.sample(Float32Array.of(1, 0))).toBe(0)
  })
})

describe("Sampler at the edges", () => {
  test("draws the only possible token, whatever the seed (seeds 0 to 99)", () => {
    const logits = new Float32Array(50).fill(-Infinity)
    logits[37] = -1000
    for (let seed = 0; seed < 100; seed++) {
      expect(openSampler(SamplerOptions.make({ ...plain, seed }), 50).sample(logits)).toBe(37)
      expect(openSampler(SamplerOptions.make({ seed }), 50).sample(logits)).toBe(37)
    }
  })

  test("top-k 1 is greedy at any temperature (seeds 0 to 99)", () => {
    for (let seed = 0; seed < 100; seed++) {
      const sampler = openSampler(SamplerOptions.make({ ...plain, temperature: 100, topK: 1, seed }), 4)
      expect(sampler.sample(Float32Array.of(1, 2, 2, 0))).toBe(1)
    }
  })

  test("the smallest temperature there is draws only ties of the best (seeds 0 to 99)", () => {
    const drawn = new Set<number>()
    for (let seed = 0; seed < 100; seed++) {
      const sampler = openSampler(SamplerOptions.make({ ...plain, temperature: 5e-324, seed }), 4)
      drawn.add(sampler.sample(Float32Array.of(1, 2, 2, 0)))
    }
    expect([...drawn].sort()).toEqual([1, 2])
  })

  test("a vocabulary of one token works", () => {
    expect(openSampler(SamplerOptions.make({ seed: 1 }), 1).sample(Float32Array.of(-3))).toBe(0)
  })

  test("extreme logits neither overflow nor hide each other", () => {
    const sampler = openSampler(SamplerOptions.make({ ...plain, seed: 1 }), 3)
    expect(sampler.sample(Float32Array.of(-3.4e38, 3.4e38, 0))).toBe(1)
  })
})

const open = (options = {}) => openSampler(SamplerOptions.make({ seed: 1, ...options }), 4)

describe("Sampler refuses", () => {
  for (const temperature of [0, 1]) {
    test(`NaN, +Infinity and nothing but -Infinity at temperature ${temperature}, naming the token`, () => {
      const sampler = open({ temperature })
      expect(() => sampler.sample(Float32Array.of(0, 1, NaN, 2))).toThrow(
        "Cannot sample: the logit of token 2 is NaN; the model computed a number that is not finite"
      )
      expect(() => sampler.sample(Float32Array.of(0, Infinity, 0, 2))).toThrow("the logit of token 1 is Infinity")
      expect(() => sampler.sample(new Float32Array(4).fill(-Infinity))).toThrow("every token's logit is -Infinity")
      expect(() => sampler.sample(Float32Array.of(NaN, 0, 0, 0))).toThrow(UnusableLogits)
    })
  }

  test("biases that forbid every token", () => {
    const logitBias = { 0: -Infinity, 1: -Infinity, 2: -Infinity, 3: -Infinity }
    expect(() => open({ logitBias }).sample(new Float32Array(4))).toThrow("allow at least one token")
  })

  test("a penalty that blows a logit up", () => {
    const sampler = open({ repetitionPenalty: 1e-308 })
    sampler.accept(3)
    expect(() => sampler.sample(Float32Array.of(0, 0, 0, 1e9))).toThrow("the logit of token 3 is Infinity")
  })

  test("logits of another length", () => {
    expect(() => open().sample(new Float32Array(5))).toThrow("Cannot sample: got 5 logits, the model has 4 tokens")
  })

  test("to accept a token outside the vocabulary", () => {
    for (const token of [-1, 4, 0.5, NaN]) {
      expect(() => open().accept(token)).toThrow(`Cannot accept token ${token}: the model has 4 tokens`)
    }
  })

  test("to open with a bias for a token outside the vocabulary", () => {
    expect(() => open({ logitBias: { 4: 1 } })).toThrow(BiasOutsideVocabulary)
    expect(() => open({ logitBias: { 4: 1 } })).toThrow("logitBias names token 4, the model has 4 tokens")
  })
})
