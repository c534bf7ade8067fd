// Goal: chat keeps its history, and Ctrl-C ends an answer before it ends the program.
// Method: the real command on a tiny model whose template shows in the count of prompt tokens what the history holds.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { runCli, startCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cli-"))
const model = join(folder, "chat.gguf")
const template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
/** On a busy machine a start takes seconds. */
const processTimeoutMs = 60_000

/** Never ends by itself: the end of the text is forbidden. */
const flags = ["--backend", "reference", "--temperature", "0", "--logit-bias", "2=-Infinity"]

beforeAll(() =>
  Effect.runPromise(
    writeTinyModel(model, {
      family: "llama",
      seed: 5,
      shape: { contextLength: 100_000 },
      metadata: [["tokenizer.chat_template", "string", template]]
    })
  )
)
afterAll(() => rmSync(folder, { recursive: true }))

test(
  "powerinfer chat answers each line and remembers what was said",
  async () => {
    const args = ["chat", model, ...flags, "--max-tokens", "5", "--ctx", "512", "--json"]
    const [plain, instructed] = await Promise.all([
      runCli(args, "one\n\ntwo\nthree"),
      runCli([...args, "--system", "Be brief."], "one\n")
    ])
    expect(plain.stderr).toBe("")
    const answers = plain.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
    expect(answers).toHaveLength(3)
    const counts = answers.map(({ figures }) => figures.prompt_tokens)
    expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    expect(new Set(counts).size).toBe(3)
    // The session keeps what the prompts have in common.
    expect(answers[1].figures.prompt_tokens_cached).toBeGreaterThan(answers[0].figures.prompt_tokens / 2)
    expect(JSON.parse(instructed.stdout).figures.prompt_tokens).toBeGreaterThan(counts[0])
    expect([plain.code, instructed.code]).toEqual([0, 0])
  },
  processTimeoutMs
)

test(
  "powerinfer chat begins anew when the conversation outgrows its context, and says so",
  async () => {
    const args = ["chat", model, ...flags, "--ctx", "60", "--json"]
    const { stdout, stderr, code } = await runCli(args, "one\ntwo\nthree\n")
    // The first answer fills the context, so the second line only makes room.
    expect(stdout.trimEnd().split("\n")).toHaveLength(2)
    expect(stderr).toContain("The conversation fills the context of 60 tokens")
    expect(code).toBe(0)
    const single = await runCli(["chat", model, ...flags, "--ctx", "8"], "far too long a line for eight tokens\n")
    expect(single.code).toBe(7)
  },
  processTimeoutMs
)

test(
  "powerinfer chat ends an answer on the first Ctrl-C, itself on one between answers",
  async () => {
    const child = startCli(["chat", model, ...flags, "--ctx", "100000"])
    const reader = child.stdout.getReader()
    const decoder = new TextDecoder()
    let seen = ""
    const readUntil = async (isEnough: () => boolean) => {
      while (!isEnough()) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`The output ended after ${JSON.stringify(seen)}`)
        seen += decoder.decode(value, { stream: true })
      }
    }
    child.stdin.write("Hello\n")
    await child.stdin.flush()
    await readUntil(() => seen.length > 20)
    child.kill("SIGINT")
    await readUntil(() => seen.endsWith("\n"))

    // Still there: it answers again.
    const before = seen.length
    child.stdin.write("Go on\n")
    await child.stdin.flush()
    await readUntil(() => seen.length > before + 20)
    child.kill("SIGINT")
    await readUntil(() => seen.endsWith("\n"))

    await Bun.sleep(100)
    child.kill("SIGINT")
    expect(await child.exited).toBe(130)
  },
  processTimeoutMs
)
