// How do tests run the real command, as its users do?
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../../..", import.meta.url))

/** The default model. */
export const model = join(root, "models/relu-llama-7m/relu-llama-7m-f16.gguf")

export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Starts the command; standard input is a pipe, so that tests can talk to it. */
export const startCli = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {},
  cwd = process.cwd()
) =>
  Bun.spawn([process.execPath, join(root, "apps/cli/main.ts"), ...args], {
    cwd,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...environment }
  })

/** Runs the command to its end. */
export const runCli = async (
  args: ReadonlyArray<string>,
  stdin: Uint8Array | string = "",
  environment: Readonly<Record<string, string>> = {},
  cwd = process.cwd()
): Promise<CliResult> => {
  const child = startCli(args, environment, cwd)
  child.stdin.write(stdin)
  child.stdin.end()
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited
  ])
  return { code, stdout, stderr }
}

/** Two at a time: more would only wait for each other's cores. */
export const runAll = async <Key extends string>(
  runs: ReadonlyArray<readonly [Key, () => Promise<CliResult>]>
): Promise<ReadonlyMap<Key, CliResult>> => {
  const results = new Map<Key, CliResult>()
  const queue = [...runs]
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) results.set(next[0], await next[1]())
  }
  await Promise.all([work(), work()])
  return results
}

/** Children that a process still has (Linux). */
export const childrenOf = (pid: number): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
    .map(Number)

const parentOf = (pid: string): number | undefined => {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, "utf8")
    return Number(status.slice(status.lastIndexOf(")") + 2).split(" ")[1])
  } catch {
    return undefined
  }
}
