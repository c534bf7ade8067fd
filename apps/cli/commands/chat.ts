// powerinfer chat: a conversation, one line a turn.
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type ChatMessage, type GenerationEnd, NoChatTemplate, type PromptTooLong, type Session } from "powerinfer"
import { stoppable } from "../ctrl_c.ts"
import { openFlaggedEngine } from "../engine_settings.ts"
import { figuresJson, figuresLine } from "../figures.ts"
import type { EngineFlags, SamplingFlags } from "../flags.ts"
import { generateRequest } from "../generate_request.ts"
import { openLines } from "../lines.ts"
import { note, print } from "../output.ts"

export interface ChatInput extends EngineFlags, SamplingFlags {
  readonly model: string
  readonly system: string | undefined
  readonly json: boolean
}

/** Answers each line of standard input until it ends. Ctrl-C ends an answer; between answers it ends the program. */
export const chat = Effect.fnUntraced(function* (input: ChatInput) {
  // Ranges are wrong before the model is loaded, or never.
  yield* generateRequest([], input)
  const { engine } = yield* openFlaggedEngine(input.model, input)
  if (!engine.info.hasChatTemplate) return yield* new NoChatTemplate({ model: engine.info.model })

  const session = yield* engine.session()
  const messages: Array<ChatMessage> = input.system === undefined ? [] : [{ role: "system", content: input.system }]
  const lines = yield* openLines
  for (;;) {
    if (process.stdin.isTTY) process.stderr.write("> ")
    const line = yield* lines.next
    if (line === undefined) return
    if (line.trim() === "") continue
    messages.push({ role: "user", content: line })
    const answer = yield* answerTo(session, messages, input).pipe(
      Effect.catchTag("PromptTooLong", (error) => makeRoom(messages, input.system !== undefined, error))
    )
    if (answer !== undefined) messages.push({ role: "assistant", content: answer })
  }
}, Effect.scoped)

/** Forgets what was said, but for the instructions: a conversation that outgrew its context goes on. A single turn that is too long is an error. */
const makeRoom = Effect.fnUntraced(function* (
  messages: Array<ChatMessage>,
  instructed: boolean,
  error: PromptTooLong
): Effect.fn.Return<undefined, PromptTooLong> {
  const kept = instructed ? 1 : 0
  if (messages.length === kept + 1) return yield* error
  messages.splice(kept)
  yield* note(
    `The conversation fills the context of ${error.contextLength} tokens: it begins anew; say that again, or raise --ctx`
  )
})

/** What was said before Ctrl-C stays said: the model sees it as its own words. */
const answerTo = Effect.fnUntraced(function* (
  session: Session,
  messages: ReadonlyArray<ChatMessage>,
  input: ChatInput
) {
  const request = yield* generateRequest([...messages], input)
  let text = ""
  let end: GenerationEnd | undefined
  const answered = yield* stoppable(
    session.generate(request).pipe(
      Stream.runForEach((part) => {
        text += part.text
        if (part.end) end = part.end
        return part.text === "" || input.json ? Effect.void : print(part.text)
      })
    )
  )
  if (input.json) {
    yield* print(`${JSON.stringify({ text, ...(end && { figures: figuresJson(end.reason, end.figures) }) })}\n`)
    return text
  }
  yield* print("\n")
  if (end && Option.isSome(answered) && process.stderr.isTTY) yield* note(figuresLine(end.figures))
  return text
})
