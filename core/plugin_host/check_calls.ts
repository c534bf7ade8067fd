// Does every single call of a plugin keep its contract? For who writes plugins: each check costs a pass over the data.
import type { Device } from "../backend.ts"
import type { HiddenRows } from "../batch.ts"
import type { ModelShape } from "../model/model.ts"
import { NeuronSet } from "../neuron_set.ts"
import type { PluginKind } from "../plugin.ts"
import { type NeuronSelector, withSelect } from "../predictor.ts"
import { PluginFault } from "./plugin_error.ts"

/** What no plugin writes by chance. */
const canary = 0x5a5a5a5a

/** Throws a `PluginFault` unless the condition holds. */
const checker =
  (kind: PluginKind, name: string) =>
  (holds: boolean, call: string, reason: () => string): void => {
    if (!holds) throw new PluginFault({ kind, name, call, reason: reason() })
  }

/**
 * The selector with every call checked: it leaves the hidden vectors alone and writes nothing beyond the rows in use.
 *
 * Native ones are called from here too, so that there is a call to check.
 */
export const checkSelectorCalls = (name: string, shape: ModelShape, selector: NeuronSelector): NeuronSelector => {
  const check = checker("predictor", name)
  return withSelect(selector, (block, hidden, active, batch) => {
    const before = hidden.values.slice()
    const rowsBefore = batch.rows.slice()
    // One row more than the batch has: nobody may touch it.
    const walled = new NeuronSet(shape.ffnWidth, hidden.rowCount + 1)
    walled.words.fill(canary)
    walled.reset(hidden.rowCount)
    selector.select(block, hidden, walled, batch)
    check(sameNumbers(batch.rows, rowsBefore), "select", () => "it wrote to the batch")
    check(sameValues(hidden.values, before), "select", () => `it wrote to the hidden vectors of block ${block}`)
    const beyond = walled.words.subarray(hidden.rowCount * walled.wordsPerRow)
    check(
      beyond.every((word) => word === canary),
      "select",
      () => `it wrote beyond the ${hidden.rowCount} rows of block ${block}`
    )
    active.rowCount = walled.rowCount
    active.words.set(walled.words.subarray(0, hidden.rowCount * walled.wordsPerRow))
  })
}

/** The device with every call checked: sizes, finite numbers, borrowed buffers left alone, counters that only grow. */
export const checkDeviceCalls = (name: string, shape: ModelShape, device: Device): Device => {
  const check = checker("backend", name)
  const { hiddenWidth, ffnWidth, vocabularySize } = shape
  const checkValues = (call: string, what: string, values: Float32Array, length: number) => {
    check(values instanceof Float32Array && values.length >= length, call, () => {
      return `${what} has ${values?.length} values; ${length} are wanted`
    })
    const stray = values.subarray(0, length).findIndex((value) => !Number.isFinite(value))
    check(stray < 0, call, () => `${what} is ${values[stray]} at ${stray}`)
  }
  const withHiddenKept = <A>(call: string, hidden: HiddenRows, run: () => A): A => {
    const before = hidden.values.slice()
    const result = run()
    check(sameValues(hidden.values, before), call, () => "it wrote to the hidden vectors")
    return result
  }
  const walls = new Float32Array(1)
  let last = device.counters()

  return {
    name: device.name,
    openCache: device.openCache.bind(device),
    embed: (batch) => {
      const before = batch.rows.slice()
      device.embed(batch)
      check(sameNumbers(batch.rows, before), "embed", () => "it wrote to the batch")
    },
    attend: (batch, block) => {
      const hidden = device.attend(batch, block)
      check(hidden.rowCount === batch.rowCount && hidden.width === hiddenWidth, "attend", () => {
        return `it returned ${hidden.rowCount} rows of ${hidden.width}; ${batch.rowCount} of ${hiddenWidth} are wanted`
      })
      checkValues("attend", `the hidden vector of block ${block}`, hidden.values, hidden.rowCount * hiddenWidth)
      return hidden
    },
    activations: (block, hidden, into) => {
      const length = hidden.rowCount * ffnWidth
      walls.fill(into[length] ?? 0)
      withHiddenKept("activations", hidden, () => device.activations(block, hidden, into))
      checkValues("activations", `the activations of block ${block}`, into, length)
      check(Object.is(into[length] ?? 0, walls[0]), "activations", () => "it wrote beyond the rows of the batch")
    },
    startFfn: (block, hidden, active, confirms) => {
      const words = active?.words.slice()
      const partial = withHiddenKept("startFfn", hidden, () => device.startFfn(block, hidden, active, confirms))
      check(words === undefined || words.every((word, at) => word === active!.words[at]), "startFfn", () => {
        return "it wrote to the set of candidates"
      })
      check(typeof partial?.wait === "function", "startFfn", () => "it returned nothing to wait for")
      return {
        wait: () => {
          const values = partial.wait()
          if (values) checkValues("startFfn", `the FFN of block ${block}`, values, hidden.rowCount * hiddenWidth)
          return values
        }
      }
    },
    ...(device.asynchronous && { asynchronous: true }),
    ...(device.keepsToShare && { keepsToShare: true }),
    ...(device.useThresholds && { useThresholds: device.useThresholds.bind(device) }),
    mergeFfn: (block, partials) => device.mergeFfn(block, partials),
    logits: (batch) => {
      const logits = device.logits(batch)
      const length = batch.logitCount * vocabularySize
      check(logits.length === length, "logits", () => `it returned ${logits.length} logits; ${length} are wanted`)
      checkValues("logits", "a logit", logits, length)
      return logits
    },
    counters: () => {
      const counters = device.counters()
      for (const key of Object.keys(last) as ReadonlyArray<keyof typeof last>) {
        check(counters[key] >= last[key], "counters", () => `${key} went from ${last[key]} to ${counters[key]}`)
      }
      last = counters
      return counters
    },
    ...(device.profile && { profile: device.profile })
  }
}

const sameNumbers = (actual: Uint32Array, before: Uint32Array): boolean =>
  before.every((value, at) => value === actual[at])

/** Bit for bit, so that a NaN that stays a NaN is the same. */
const sameValues = (actual: Float32Array, before: Float32Array): boolean =>
  actual.length === before.length && before.every((value, at) => Object.is(value, actual[at]))
