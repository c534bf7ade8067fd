// Goal: a file appears whole or not at all, and a writer that was killed leaves nothing for good.
// Method: a process that kills itself half-way, and then one that does not.
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { attemptWrite, writeFully, writeWholeFile } from "@powerinfer/core"
import { Effect } from "effect"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-whole-file-"))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, "a.json")

const killedHalfWay = `
  import { writeFully, writeWholeFile } from "@powerinfer/core"
  import { Effect } from "effect"
  const fill = (descriptor) => Effect.sync(() => {
    writeFully(descriptor, new TextEncoder().encode("half"))
    process.kill(process.pid, "SIGKILL")
  })
  await Effect.runPromise(writeWholeFile(process.argv[1], fill))
`

test("writeWholeFile() that is killed leaves the older file; the next one removes what is half written, and nothing else", async () => {
  const write = (text: string) =>
    writeWholeFile(path, (descriptor) =>
      attemptWrite(path, () => writeFully(descriptor, new TextEncoder().encode(text)))
    )
  await Effect.runPromise(write("older"))
  const root = join(import.meta.dir, "..")
  const killed = Bun.spawnSync([process.execPath, "-e", killedHalfWay, path], { cwd: root })
  expect([killed.signalCode, killed.stderr.toString()]).toEqual(["SIGKILL", ""])
  expect(readFileSync(path, "utf8")).toBe("older")
  expect(readdirSync(folder).sort()).toEqual(["a.json", `a.json.${killed.pid}.tmp`])

  const others = [`a.json.${process.ppid}.tmp`, `b.json.${killed.pid}.tmp`, "a.json.mine.tmp"]
  for (const name of others) writeFileSync(join(folder, name), "of somebody else")
  await Effect.runPromise(write("newer"))
  expect(readFileSync(path, "utf8")).toBe("newer")
  expect(readdirSync(folder).sort()).toEqual(["a.json", ...others].sort())
})
