// Goal: the engine as its users meet it: streams of tokens from a worker, any number of sessions, cancellation, typed refusals.
// Method: the default model on the cpu backend; every expectation is a property of the contract or the golden greedy text.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import {
  type EngineError,
  type EngineService,
  type GenerateRequest,
  type GenerationPart,
  type EngineOptions,
  openEngine,
  type Session,
  type SessionOptions,
  usePlugin
} from "@powerinfer/core"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import reference from "../../models/relu-llama-7m/reference.json" with { type: "json" }
import { cpu, exactGate, models, planOptions } from "../support/plans.ts"
import diesLater from "../support/plugins/dies_later.ts"
import throwsOnThree from "../support/plugins/throws_on_three.ts"

/** The default model on the cpu backend, unless said otherwise. */
const open = (options: Partial<EngineOptions> = {}) =>
  openEngine({ model: models.f16, ...planOptions({ predictor: exactGate }), ...options })

const scope = Effect.runSync(Scope.make())
let engine: EngineService

beforeAll(async () => {
  engine = await open().pipe(Scope.provide(scope), Effect.runPromise)
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

interface Collected {
  readonly text: string
  readonly tokens: ReadonlyArray<number>
  readonly end: NonNullable<GenerationPart["end"]>
}

const collect = (stream: Stream.Stream<GenerationPart, EngineError>): Effect.Effect<Collected, EngineError> =>
  Effect.map(Stream.runCollect(stream), (parts) => ({
    text: parts.map((part) => part.text).join(""),
    tokens: parts.flatMap((part) => part.token ?? []),
    end: parts.at(-1)!.end!
  }))

const generate = (request: GenerateRequest) => Effect.runPromise(collect(engine.generate(request)))
const refusal = (request: GenerateRequest) => Effect.runPromise(Effect.flip(collect(engine.generate(request))))
const inSession = <A>(contextLength: number, use: (session: Session) => Effect.Effect<A, EngineError>) =>
  engine.session({ contextLength }).pipe(Effect.flatMap(use), Effect.scoped, Effect.runPromise)

const greedy = { temperature: 0 } as const
const prompt = "And it came to pass"
const golden = reference.prompts[0]!

describe("generate()", () => {
  test("streams the golden greedy text", async () => {
    const { text, tokens, end } = await generate({ prompt, sampling: greedy, maxTokens: golden.greedy_ids.length })
    expect(tokens).toEqual(golden.greedy_ids)
    expect(prompt + text).toBe(golden.greedy_text)
    expect(end.reason).toBe("max_tokens")
    expect(end.figures).toMatchObject({
      promptTokens: golden.ids.length,
      promptTokensCached: 0,
      generatedTokens: tokens.length,
      fidelity: "exact"
    })
    expect(end.figures.weightBytesPerToken).toBeLessThan(end.figures.denseBytesPerToken)
  })

  test("takes token ids for a prompt", async () => {
    const { tokens } = await generate({ prompt: golden.ids, sampling: greedy, maxTokens: 8 })
    expect(tokens).toEqual(golden.greedy_ids.slice(0, 8))
  })

  test("gives the same tokens for the same seed, and others for another", async () => {
    const run = (seed: number) => generate({ prompt, sampling: { temperature: 1, seed }, maxTokens: 24 })
    const [first, again, other] = [await run(7), await run(7), await run(8)]
    expect(again.tokens).toEqual(first.tokens)
    expect(other.tokens).not.toEqual(first.tokens)
    expect(first.end.figures.seed).toBe(7)
  })

  test("gives the tokens of lone sessions to sessions that share batches", async () => {
    const requests = reference.prompts.map((each) => ({ prompt: each.ids, sampling: greedy, maxTokens: 12 }))
    const together = await Effect.runPromise(
      Effect.forEach(requests, (request) => collect(engine.generate(request)), { concurrency: "unbounded" })
    )
    for (const [index, request] of requests.entries()) {
      expect(together[index]!.tokens).toEqual((await generate(request)).tokens)
    }
  })

  test("ends before a stop string, wherever its tokens are cut", async () => {
    const whole = await generate({ prompt, sampling: greedy, maxTokens: 20 })
    const stop = whole.text.slice(9, 14)
    const { text, end } = await generate({ prompt, sampling: greedy, maxTokens: 20, stop: [stop] })
    expect(end.reason).toBe("stop_string")
    expect(text).toBe(whole.text.slice(0, whole.text.indexOf(stop)))
  })

  test("obeys logit bias", async () => {
    const banned = golden.greedy_ids[0]!
    const { tokens } = await generate({
      prompt,
      sampling: { ...greedy, logitBias: { [banned]: -Infinity } },
      maxTokens: 10
    })
    expect(tokens).not.toContain(banned)
  })

  test("keeps the main thread live while it runs", async () => {
    let ticks = 0
    const timer = setInterval(() => ticks++, 5)
    const start = performance.now()
    await generate({ prompt, sampling: greedy, maxTokens: 200, ignoreEndOfText: true })
    clearInterval(timer)
    expect(ticks).toBeGreaterThan((performance.now() - start) / 5 / 4)
  })

  test("stops working when its consumer stops", async () => {
    const taken = await engine
      .generate({ prompt, sampling: greedy, ignoreEndOfText: true })
      .pipe(Stream.take(3), Stream.runCollect, Effect.runPromise)
    expect(taken.length).toBe(3)
    const fiber = Effect.runFork(Stream.runDrain(engine.generate({ prompt, sampling: greedy, ignoreEndOfText: true })))
    await Bun.sleep(30)
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect((await generate({ prompt, sampling: greedy, maxTokens: 4 })).tokens).toEqual(golden.greedy_ids.slice(0, 4))
  })

  test("refuses a prompt longer than the session", async () => {
    const error = await refusal({ prompt: Array.from({ length: 600 }, () => 300) })
    expect(error).toMatchObject({ _tag: "PromptTooLong", promptTokens: 600, contextLength: 512 })
    expect(error.message).toContain("shorten it")
  })

  test.each([
    ["a temperature below zero", { sampling: { temperature: -1 } }],
    ["a top-p of zero", { sampling: { topP: 0 } }],
    ["no tokens at all", { maxTokens: 0 }],
    ["an empty stop string", { stop: [""] }],
    ["token ids outside the vocabulary", { prompt: [1, 4096] }],
    ["a lone surrogate", { prompt: "\ud800" }]
  ] as const)("refuses %s", async (_, wrong) => {
    const error = await refusal({ prompt, ...wrong } as GenerateRequest)
    expect(error._tag).toBe("InvalidRequest")
  })

  test("refuses a conversation when the model has no chat template", async () => {
    expect((await refusal({ prompt: [{ role: "user", content: "Hello" }] }))._tag).toBe("NoChatTemplate")
  })
})

describe("session()", () => {
  test("computes only what a prompt adds to the last one", async () => {
    const longer = [...golden.ids, ...golden.greedy_ids.slice(0, 10)]
    const fresh = await generate({ prompt: longer, sampling: greedy, maxTokens: 5 })
    const { first, second } = await inSession(128, (session) =>
      Effect.gen(function* () {
        const first = yield* collect(session.generate({ prompt: golden.ids, sampling: greedy, maxTokens: 10 }))
        const second = yield* collect(session.generate({ prompt: longer, sampling: greedy, maxTokens: 5 }))
        return { first, second }
      })
    )
    expect(first.tokens).toEqual(golden.greedy_ids.slice(0, 10))
    expect(second.tokens).toEqual(fresh.tokens)
    // The last token generated was never run, so it and nothing else is new.
    expect(second.end.figures.promptTokensCached).toBe(longer.length - 1)
  })

  test("ends when it is full", async () => {
    const { tokens, end } = await inSession(golden.ids.length + 4, (session) =>
      collect(session.generate({ prompt: golden.ids, sampling: greedy, ignoreEndOfText: true }))
    )
    expect(end.reason).toBe("context_full")
    expect(tokens).toEqual(golden.greedy_ids.slice(0, 5))
  })

  test("refuses a second generation at the same time", async () => {
    const error = await inSession(512, (session) =>
      Effect.gen(function* () {
        const long = yield* Effect.forkChild(Stream.runDrain(session.generate({ prompt, ignoreEndOfText: true })))
        yield* Effect.sleep("20 millis")
        const refused = yield* Effect.orDie(Effect.flip(collect(session.generate({ prompt }))))
        yield* Fiber.interrupt(long)
        return refused
      })
    )
    expect(error._tag).toBe("SessionBusy")
  })

  test("refuses a context that no memory can hold", async () => {
    const error = await engine.session({ contextLength: 2 ** 31 }).pipe(Effect.scoped, Effect.flip, Effect.runPromise)
    expect(error._tag).toBe("NotEnoughMemory")
  })
})

test("openSession() refuses more positions than the model has learned", async () => {
  const error = await open({ model: "models/relu-opt-3m/relu-opt-3m-f16.gguf" }).pipe(
    Effect.flatMap((opt) => opt.session({ contextLength: 600 })),
    Effect.scoped,
    Effect.flip,
    Effect.runPromise
  )
  expect(error).toMatchObject({ _tag: "ContextTooLong", contextLength: 600, contextLengthMax: 512 })
})

test.each([
  ["a fraction of a position", { contextLength: 10.5 }],
  ["no positions", { contextLength: 0 }],
  ["an unknown cache type", { cacheType: "q8" }]
])("session() refuses %s", async (_, options) => {
  const error = await engine.session(options as SessionOptions).pipe(Effect.scoped, Effect.flip, Effect.runPromise)
  expect(error._tag).toBe("InvalidRequest")
})

test("generate() refuses a session that is closed", async () => {
  const closed = await inSession(64, (session) => Effect.succeed(session))
  const error = await Effect.runPromise(Effect.flip(collect(closed.generate({ prompt }))))
  expect(error.message).toContain("its session is closed")
})

test("a plugin option that nobody knows is refused by name", async () => {
  const error = await open({ backends: [{ ...cpu(), options: { thread: 2 } }] }).pipe(
    Effect.scoped,
    Effect.flip,
    Effect.runPromise
  )
  expect(error).toMatchObject({ _tag: "PluginUnavailable", name: cpu().name })
  expect(error.message).toContain("thread")
})

test("a worker that dies ends what waits for it, and calls after the engine closed fail at once", async () => {
  const dying = open({ predictor: usePlugin(diesLater) })
  const run = Effect.flatMap(dying, (faulty) => collect(faulty.generate({ prompt, ignoreEndOfText: true })))
  const error = await run.pipe(Effect.scoped, Effect.flip, Effect.runPromise)
  expect(error).toMatchObject({ _tag: "EngineDefect" })

  const closed = await Effect.runPromise(Effect.scoped(dying))
  expect((await Effect.runPromise(Effect.flip(closed.encode("late"))))._tag).toBe("EngineDefect")
})

test("a predictor that throws breaks its generation by name, and the engine lives on", async () => {
  const { broken, next } = await open({ predictor: usePlugin(throwsOnThree) }).pipe(
    Effect.flatMap((faulty) =>
      Effect.gen(function* () {
        const run = (ids: ReadonlyArray<number>) =>
          collect(faulty.generate({ prompt: ids, sampling: greedy, maxTokens: 4 }))
        const broken = yield* Effect.orDie(Effect.flip(run(golden.ids.slice(0, 3))))
        return { broken, next: yield* run(golden.ids) }
      })
    ),
    Effect.scoped,
    Effect.runPromise
  )
  expect(broken).toMatchObject({ _tag: "PluginFault", kind: "predictor", name: "throws_on_three", call: "select" })
  expect(broken.message).toContain("three rows are too many")
  expect(next.tokens).toEqual(golden.greedy_ids.slice(0, 4))
  expect(next.end.figures.fidelity).toBe("measured")
})

test("encode() and decode() are the model's tokenizer", async () => {
  const ids = await Effect.runPromise(engine.encode(prompt))
  expect(ids).toEqual(golden.ids)
  expect(await Effect.runPromise(engine.decode(ids))).toBe(prompt)
})
