// Goal: what the README tells a stranger to type works as written.
// Method: its TypeScript blocks are written into build/readme/ and run; the library example on the default model. What it says of plugins: test/docs.
import { afterAll, expect, test } from "bun:test"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"

const folder = "build/readme"
const model = "models/relu-llama-7m/relu-llama-7m-f16.gguf"

mkdirSync(folder, { recursive: true })
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const readme = await Bun.file("README.md").text()
const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!)

const run = async (...command: ReadonlyArray<string>) => {
  const child = Bun.spawn([process.execPath, ...command], { stdio: ["ignore", "pipe", "pipe"] })
  const [text, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { status: await child.exited, text, errors }
}

const writeBlock = async (name: string, contains: string): Promise<string> => {
  const path = join(folder, name)
  const block = blocks.find((text) => text.includes(contains))!
  await Bun.write(path, block.replace("model.gguf", model))
  return path
}

test("the README's library example streams a text", async () => {
  const { status, text, errors } = await run(await writeBlock("library.ts", "Engine.layer"))
  expect({ status, errors }).toEqual({ status: 0, errors: "" })
  expect(text.length).toBeGreaterThan(100)
})
