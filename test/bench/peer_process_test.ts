// Goal: a peer's answers are read as they are meant, and a peer that answers nonsense or ends is an error in its own words.
// Method: a fake peer, a script that takes no time and misbehaves on demand.
import { expect, test } from "bun:test"
import { join } from "node:path"
import { Effect } from "effect"
import { openPeer } from "../../bench/peer/peer_process.ts"

const fakePeer = (...args: ReadonlyArray<string>) => [process.execPath, join(import.meta.dir, "fake_peer.ts"), ...args]
const open = (manner: string) => openPeer(fakePeer(manner, "some.gguf"))

const failureOf = (manner: string) =>
  open(manner).pipe(
    Effect.flatMap((peer) => peer.run([1, 2, 3], 2)),
    Effect.flip,
    Effect.scoped,
    Effect.runPromise
  )

test("openPeer() gives its version and runs texts, one after the other", async () => {
  const answers = await Effect.gen(function* () {
    const peer = yield* open("answers")
    return [peer.version, yield* peer.run([5, 6, 7, 8, 9], 3), yield* peer.run([1, 2], 2)]
  }).pipe(Effect.scoped, Effect.runPromise)
  expect(answers).toEqual([
    "1.2.3",
    { prefillSeconds: 0.75, decodeSeconds: 1 },
    { prefillSeconds: 0.5, decodeSeconds: 0 }
  ])
})

test("openPeer() ends the process with its scope", async () => {
  const processId = await open("answers").pipe(
    Effect.map((peer) => peer.processId),
    Effect.scoped,
    Effect.runPromise
  )
  const isRunning = () => {
    try {
      process.kill(processId, 0)
      return true
    } catch {
      return false
    }
  }
  // Killed, it stays a zombie until its end has been noticed here.
  for (let poll = 0; poll < 500 && isRunning(); poll++) await Bun.sleep(10)
  expect(isRunning()).toBeFalse()
})

const failures = [
  ["refuses", "unknown architecture of some.gguf\nthe model cannot be loaded"],
  ["babbles", 'it answers "hello"'],
  ["dies", "it ended with code 3"],
  ["stops time", "it says that a prompt took no time"]
] as const

for (const [manner, reason] of failures) {
  test(`openPeer() fails with ${JSON.stringify(reason)} when the peer ${manner}`, async () => {
    expect(await failureOf(manner)).toMatchObject({ _tag: "BackendFailure", backend: "llama.cpp", reason })
  })
}

test("openPeer() says which program cannot be started", async () => {
  const failure = await Effect.runPromise(Effect.flip(Effect.scoped(openPeer(["/nowhere/llama_cpp"]))))
  expect(failure.reason).toContain("/nowhere/llama_cpp")
})
