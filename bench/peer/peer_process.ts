// How is a peer engine measured? It runs as a child process that keeps its model loaded and is asked line by line.
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { BackendFailure } from "@powerinfer/core"
import { Effect, type Scope } from "effect"

/** How long one pass took. */
export interface PeerSeconds {
  readonly prefillSeconds: number
  /** Of all tokens after the prompt together; 0 if there is none. */
  readonly decodeSeconds: number
}

/** A peer with its model loaded. It sleeps between passes. */
export interface Peer {
  readonly processId: number
  readonly version: string
  /** Runs the text from an empty KV cache: `promptTokens` of it as one prompt, the rest one token at a time. One pass at a time. */
  readonly run: (text: ReadonlyArray<number>, promptTokens: number) => Effect.Effect<PeerSeconds, BackendFailure>
}

/** A peer is a backend that is not ours, and fails as one. */
export const peerFailure = (reason: string) => new BackendFailure({ backend: "llama.cpp", reason })

/**
 * Starts `command`, which speaks the lines that peer/llama_cpp.c describes, and waits until its model is loaded. The process ends with the scope.
 *
 * - fails  `BackendFailure` if it cannot be started, ends early or answers anything else; in its own words where it had any
 */
export const openPeer = Effect.fnUntraced(function* (
  command: ReadonlyArray<string>
): Effect.fn.Return<Peer, BackendFailure, Scope.Scope> {
  const lines = yield* Effect.acquireRelease(
    Effect.sync(() => startLines(command)),
    ({ end }) => Effect.sync(end)
  )
  const [, version] = yield* answer(yield* lines.next, /^ready (\S+)$/)
  return {
    processId: lines.processId,
    version: version!,
    run: Effect.fnUntraced(function* (text, promptTokens) {
      lines.write(`run ${promptTokens} ${text.join(" ")}`)
      const [, prefill, decode] = yield* answer(yield* lines.next, /^ran (\d+\.\d+) (\d+\.\d+)$/)
      const seconds = { prefillSeconds: Number(prefill), decodeSeconds: Number(decode) }
      if (seconds.prefillSeconds > 0) return seconds
      return yield* peerFailure("it says that a prompt took no time")
    })
  }
})

const answer = (line: string, form: RegExp): Effect.Effect<RegExpExecArray, BackendFailure> => {
  const parts = form.exec(line)
  return parts ? Effect.succeed(parts) : Effect.fail(peerFailure(`it answers ${JSON.stringify(line)}`))
}

const errorLinesShown = 5

/** The standard input and output of a process as lines. */
const startLines = ([program, ...args]: ReadonlyArray<string>) => {
  const child = spawn(program!, args, { stdio: ["pipe", "pipe", "pipe"] })
  const waiting: Array<string> = []
  let ended: BackendFailure | undefined
  let errors = ""
  /** Who waits for a line, or for the end. */
  let wake = () => {}
  child.stderr.on("data", (chunk: Buffer) => void (errors += chunk.toString()))
  createInterface(child.stdout).on("line", (line) => {
    waiting.push(line)
    wake()
  })
  const finish = (reason: string) => {
    ended ??= peerFailure(reason)
    wake()
  }
  child.on("error", (cause) => finish(cause.message))
  child.on("close", (code, signal) => {
    const words = errors.trim().split("\n").slice(-errorLinesShown).join("\n")
    finish(words || `it ended with ${signal ?? `code ${code}`}`)
  })
  // Writing to a process that has ended: its end says why.
  child.stdin.on("error", () => {})

  const next: Effect.Effect<string, BackendFailure> = Effect.callback((resume) => {
    wake = () => {
      const line = waiting.shift()
      if (line === undefined && ended === undefined) return
      wake = () => {}
      resume(line === undefined ? Effect.fail(ended!) : Effect.succeed(line))
    }
    wake()
  })
  return {
    processId: child.pid ?? 0,
    write: (line: string) => void child.stdin.write(`${line}\n`),
    next,
    end: () => void child.kill("SIGKILL")
  }
}
