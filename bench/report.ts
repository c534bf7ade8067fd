// Where was something measured, and where does the report go?
import { execFileSync } from "node:child_process"
import { cpus } from "node:os"
import { join } from "node:path"
import { attemptWrite, readMachine, writeFully, writeWholeFile } from "@powerinfer/core"
import { Effect } from "effect"
import { print, printJson } from "../apps/cli/output.ts"

/** What a figure depends on, beside what was run. */
export const measuredOn = Effect.map(readMachine, ({ coreCount, isas, memoryBytes }) => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: coreCount,
  isa: isas.at(-1) ?? "scalar",
  memory_gib: Math.round(memoryBytes / 2 ** 30),
  bun: process.versions.bun ?? "none",
  commit: commit()
}))

/** The commit of this checkout, `+` if files were changed since. */
const commit = (): string => {
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", args, {
      cwd: join(import.meta.dirname, ".."),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    })
  try {
    return `${git("rev-parse", "--short", "HEAD").trim()}${git("status", "--porcelain") === "" ? "" : "+"}`
  } catch {
    return "unknown"
  }
}

/** Prints a report, as JSON or Markdown, and writes both beside each other: `out`.json and `out`.md. */
export const publish = Effect.fnUntraced(function* (
  report: { readonly json: unknown; readonly markdown: string },
  { json, out }: { readonly json: boolean; readonly out: string | undefined }
) {
  yield* json ? printJson(report.json) : print(`${report.markdown}\n`)
  if (out === undefined) return
  yield* writeText(`${out}.json`, `${JSON.stringify(report.json, undefined, 2)}\n`)
  yield* writeText(`${out}.md`, `${report.markdown}\n`)
})

const writeText = (path: string, text: string) =>
  writeWholeFile(path, (descriptor) => attemptWrite(path, () => writeFully(descriptor, new TextEncoder().encode(text))))
