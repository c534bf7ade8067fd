// The engine itself, on whatever thread it runs: a model opened for generating, and its sessions.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { openModel } from "../model/open_model.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import { openChatTemplate, type ChatTemplate } from "../tokenizer/chat_template.ts"
import { openTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts"
import { type Generation, startGeneration } from "./generation.ts"
import { type OnPluginCall, openPlan, type OpenPlan, type PlanOptions } from "./open_plan.ts"
import type { CheckedRequest, GenerationPart } from "./request.ts"
import { openScheduler } from "./scheduler.ts"
import type { SessionState } from "./session.ts"

export interface RunnerOptions extends PlanOptions {
  /** Path of a GGUF file, or of the first part of a split one. */
  readonly model: string
}

/** The model has no chat template, so it cannot take a conversation. */
export class NoChatTemplate extends Schema.TaggedError<NoChatTemplate>()("NoChatTemplate", { model: Schema.String }) {
  override get message() {
    return `Cannot answer a conversation: ${this.model} has no chat template; give it a text prompt instead`
  }
}

/** Plain and synchronous, like everything in the token loop: the caller decides on which thread and how often to `step`. */
export interface Runner {
  readonly plan: OpenPlan
  readonly tokenizer: Tokenizer
  readonly chatTemplate: ChatTemplate | undefined
  /** Starts a generation; throws the typed errors of `startGeneration` and `NoChatTemplate`. */
  start(session: SessionState, request: CheckedRequest, emit: (part: GenerationPart) => void): Generation
  /** Runs one batch of whatever is to do. False when idle. */
  step(interrupted?: () => boolean): boolean
}

/**
 * Opens a model with its tokenizer, devices and predictor.
 *
 * - `fail`     hears of generations that broke while running
 * - `calling`  hears which plugin opening has to wait for
 */
export const openRunner = Effect.fnUntraced(function* (
  options: RunnerOptions,
  announce: (line: string) => void,
  fail: (generation: Generation, error: unknown) => void,
  calling?: OnPluginCall
) {
  const model = yield* openModel(options.model)
  const tokenizer = yield* openTokenizer(model.gguf.metadata)
  const chatTemplate = yield* openChatTemplate(model.gguf.metadata, tokenizer)
  const plan = yield* openPlan(model, options, announce, calling)
  const scheduler = openScheduler(plan, fail)
  const text = {
    tokenizer,
    chatTemplate: () => {
      if (chatTemplate) return chatTemplate
      throw new NoChatTemplate({ model: model.name })
    }
  }
  const cost = {
    denseBytesPerToken: sparsityFacts(model).tokenBytes,
    fidelity: plan.selector.exact ? "exact" : "measured",
    profiler: plan.profiler
  } as const
  const runner: Runner = {
    plan,
    tokenizer,
    chatTemplate,
    start: (session, request, emit) => {
      const generation = startGeneration(session, request, text, cost, emit)
      scheduler.add(generation)
      return generation
    },
    step: scheduler.step
  }
  return runner
})
