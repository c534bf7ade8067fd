// Does a backend's device keep the promises that need no oracle: caches, determinism, borrowed buffers, lifetime?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { CacheType, Device } from "../backend.ts"
import { Batch } from "../batch.ts"
import type { Model } from "../model/model.ts"
import { checkDeviceCalls } from "../plugin_host/check_calls.ts"
import { check } from "./assertions.ts"
import { runBatch, runTokens } from "./direct_run.ts"
import { describeLeak, measureLeak } from "./held_resources.ts"

interface Opened {
  readonly model: Model
  readonly device: Device
}

type OpenDevice = Effect.Effect<Device, unknown, Scope.Scope>

const tokens = [1, 40, 7, 200, 13, 99, 3, 64]

/** Heads of 16 have no whole block of 32. */
export const checkUnsuitedCache = Effect.fnUntraced(function* ({ model, device }: Opened) {
  const opened = yield* Effect.result(Effect.scoped(device.openCache(8, "q8_0")))
  const refused = Result.isFailure(opened) && opened.failure._tag === "BackendFailure"
  check(refused, `a Q8_0 cache was opened for heads of ${model.shape.headWidth}, or not refused with BackendFailure`)
})

/** As many as an ABI counts: with 4 KiB a position, 16 TiB. */
const positionsBeyondMemory = 2 ** 32 - 1

/** Too much is an error with a name, before anything is allocated. */
export const checkImpossibleCache = Effect.fnUntraced(function* ({ device }: Opened) {
  const opened = yield* Effect.result(Effect.scoped(device.openCache(positionsBeyondMemory, "f32")))
  check(Result.isFailure(opened), `it opened a cache of ${positionsBeyondMemory} positions`)
  const { _tag, message } = opened.failure
  check(_tag === "NotEnoughMemory", `it refused a cache of ${positionsBeyondMemory} positions with ${_tag}: ${message}`)
})

const addRows = Effect.fnUntraced(function* (device: Device, positionCount: number, type: CacheType) {
  const cache = yield* device.openCache(positionCount, type)
  const batch = new Batch(tokens.length)
  for (const [position, token] of tokens.entries()) batch.add(token, position, cache, true)
  return batch
})

export const checkCacheScope = Effect.fnUntraced(function* ({ model, device }: Opened) {
  const batch = yield* Effect.scoped(addRows(device, tokens.length, "f32"))
  let refused = false
  try {
    runBatch(device, model.shape.blockCount, batch)
  } catch {
    refused = true
  }
  check(refused, "a batch ran in a closed cache")
})

/** 8 MiB in the models of this suite: what a cache leaves behind is no noise. */
const largeCachePositions = 2 ** 14

/** Closing a cache gives its memory back while the device stays open. */
export const checkCacheLeak = Effect.fnUntraced(function* ({ model, device }: Opened) {
  const cycle = Effect.scoped(
    Effect.map(addRows(device, largeCachePositions, "f32"), (batch) => {
      runBatch(device, model.shape.blockCount, batch)
    })
  )
  const left = describeLeak(yield* measureLeak(cycle))
  check(left === undefined, `each cache leaves ${left} behind after it was closed`)
})

/** One device twice, then another. */
export const checkDeterminism = Effect.fnUntraced(function* ({ model, device }: Opened, openAnother: OpenDevice) {
  const first = yield* runTokens(device, model, tokens, { rowCount: 3 })
  const again = yield* runTokens(device, model, tokens, { rowCount: 3 })
  checkSameBits(again, first, "run again on the same device")
  const other = yield* Effect.scoped(
    Effect.flatMap(openAnother, (another) => runTokens(another, model, tokens, { rowCount: 3 }))
  )
  checkSameBits(other, first, "run after another opening")
})

const checkSameBits = (actual: Float32Array, expected: Float32Array, when: string): void => {
  const at = actual.findIndex((value, index) => !Object.is(value, expected[index]))
  check(at < 0, `logit ${at} is ${actual[at]}, and was ${expected[at]}, when the same was ${when}`)
}

/** Every call as the engine checks it with `checkPlugins`, dense and confirming. */
export const checkBorrowedBuffers = Effect.fnUntraced(function* ({ model, device }: Opened) {
  const checked = checkDeviceCalls(device.name, model.shape, device)
  for (const confirms of [false, true]) yield* runTokens(checked, model, tokens, { rowCount: 3, confirms })
  const batch = yield* addRows(checked, tokens.length, "f32")
  checked.embed(batch)
  const hidden = checked.attend(batch, 0)
  checked.activations(0, hidden, new Float32Array((batch.rowCount + 1) * model.shape.ffnWidth))
})

/** What opening acquires, closing gives back: weights, workspace, threads, files. */
export const checkDeviceLeak = Effect.fnUntraced(function* (model: Model, open: OpenDevice) {
  const cycle = Effect.scoped(
    Effect.flatMap(open, (device) => Effect.asVoid(runTokens(device, model, tokens, { rowCount: tokens.length })))
  )
  const left = describeLeak(yield* measureLeak(cycle))
  check(left === undefined, `each opening leaves ${left} behind after it was closed`)
})
