// powerinfer generate: continues a prompt.
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { GenerationEnd } from "powerinfer"
import { openFlaggedEngine, settingsJson } from "../engine_settings.ts"
import { figuresJson, figuresLine } from "../figures.ts"
import type { EngineFlags, SamplingFlags } from "../flags.ts"
import { generateRequest } from "../generate_request.ts"
import { note, print, printJson } from "../output.ts"
import { profileText } from "../profile_report.ts"
import { readText } from "../text_input.ts"

export interface GenerateInput extends EngineFlags, SamplingFlags {
  readonly model: string
  readonly prompt: string
  readonly profile: boolean
  readonly json: boolean
}

/** Prints the text as it comes and a line of figures, or one JSON object at the end. */
export const generate = Effect.fnUntraced(function* (input: GenerateInput) {
  const request = yield* generateRequest(yield* readText(input.prompt, "PROMPT"), input)
  const { options, engine } = yield* openFlaggedEngine(input.model, input)

  const tokens: Array<number> = []
  let text = ""
  let end: GenerationEnd | undefined
  yield* engine.generate(request).pipe(
    Stream.runForEach((part) => {
      if (part.token !== undefined) tokens.push(part.token)
      if (part.end) end = part.end
      text += part.text
      return part.text === "" || input.json ? Effect.void : print(part.text)
    })
  )
  if (!end) return yield* Effect.die(new Error("The generation ended without its figures"))

  if (input.json) {
    const figures = figuresJson(end.reason, end.figures)
    const contextTokens = options.session?.contextLength ?? engine.info.contextLength
    const settings = { ...(yield* settingsJson(options)), context_tokens: contextTokens }
    return yield* printJson({ text, tokens, figures, settings })
  }
  if (!text.endsWith("\n")) yield* print("\n")
  yield* note(figuresLine(end.figures))
  if (end.figures.profile) yield* note(`\n${profileText(end.figures.profile)}`)
}, Effect.scoped)
