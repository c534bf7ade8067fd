// bun examples/generate.ts MODEL.gguf "A prompt": streams a text to the terminal.
import { Effect, Stream } from "effect"
import { Engine } from "powerinfer"

const [model = "models/relu-llama-7m/relu-llama-7m-f16.gguf", prompt = "And it came to pass"] = process.argv.slice(2)

const program = Engine.use((engine) =>
  engine
    .generate({ prompt, maxTokens: 64, sampling: { temperature: 0.7, seed: 1 } })
    .pipe(Stream.runForEach((part) => Effect.sync(() => process.stdout.write(part.text))))
)

await program.pipe(Effect.provide(Engine.layer({ model })), Effect.runPromise)
