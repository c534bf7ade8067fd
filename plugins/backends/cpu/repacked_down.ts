// Where is `down` by neuron, and who makes it where it is not there yet?
import { createHash, randomUUID } from "node:crypto"
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync
} from "node:fs"
import { basename, dirname, join } from "node:path"
import {
  attemptGguf,
  type BackendFailure,
  cacheHome,
  fingerprintGguf,
  type Model,
  removeAbandoned,
  tensorTypes
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type { Cpu } from "./cpu.ts"
import { backendFailure } from "./failures.ts"
import { layOutRepacked, type RepackedLayout } from "./repacked_file.ts"

/** Which model to repack, with its files mapped and a line for people. */
export interface RepackContext {
  readonly cpu: Cpu
  readonly model: Model
  /** [file_count], native handles of `model.gguf.files`. */
  readonly files: ReadonlyArray<number>
  readonly announce: (line: string) => void
  /** False: nothing is written, and a file that is missing is refused. */
  readonly make: boolean
}

/** Computes where each block's `down` by neuron lies in the file; undefined if the model stores all of them by neuron already. */
export const planRepackedDown = Effect.fnUntraced(function* (
  cpu: Cpu,
  model: Model
): Effect.fn.Return<RepackedLayout | undefined, BackendFailure> {
  if (model.blocks.every(({ down }) => down.layout === "by_neuron")) return undefined
  const seal = yield* attemptGguf(() => sealOf(model)).pipe(Effect.mapError(({ message }) => backendFailure(message)))
  const { hiddenWidth, ffnWidth } = model.shape
  const size = new Float64Array(new ArrayBuffer(8))
  const sizes: Array<number | undefined> = []
  for (const { down } of model.blocks) {
    if (down.layout === "by_neuron") {
      sizes.push(undefined)
      continue
    }
    const type = tensorTypes[down.weight.type].id
    const status = cpu.native.symbols.powerinfer_repack_down_size(type, hiddenWidth, ffnWidth, size)
    if (status < 0) return yield* backendFailure(cpu.native.failed("powerinfer_repack_down_size", status).reason)
    sizes.push(size[0]!)
  }
  return layOutRepacked(seal, sizes)
})

/**
 * Says whether a repacked file still belongs to its model: SHA-256 of the model's fingerprint and of its files' modification times, because a
 * file that was edited in place may keep its fingerprint.
 */
const sealOf = (model: Model): string => {
  const seal = createHash("sha256").update(fingerprintGguf(model.gguf))
  // Whole milliseconds: runtimes differ in the fraction.
  for (const { path } of model.gguf.files) seal.update(` ${Math.floor(statSync(path).mtimeMs)}`)
  return seal.digest("hex")
}

/**
 * Finds the model's repacked file, or makes it: beside the model, or in the user's cache directory where that cannot be written.
 *
 * It is written under a temporary name and renamed, so that processes which do this at once each succeed, and an interrupted one leaves nothing.
 *
 * - returns  its path
 * - cost     a read of every `down` and a write of as many bytes, once per model
 * - fails    with `BackendFailure` if neither place can be written, or it would have to be made and must not be
 */
export const findOrMakeRepacked = Effect.fnUntraced(function* (
  context: RepackContext,
  layout: RepackedLayout
): Effect.fn.Return<string, BackendFailure> {
  const places = repackedPlaces(context.model, layout)
  const states = places.map(({ path }) => stateOf(path, layout))
  const ready = states.indexOf("ready")
  if (ready !== -1) return places[ready]!.path

  if (!context.make) {
    return yield* backendFailure(
      `the predictor needs ffn_down by neuron, ${places[0]!.path} is not there or not this model's, and repack is off; run with the predictor every_neuron, or let it be made: ${(layout.sizeBytes / 1e6).toFixed(1)} MB, once`
    )
  }
  const refusals: Array<string> = []
  for (const [index, { path, words }] of places.entries()) {
    if (states[index] === "stale") {
      context.announce(`${path} is incomplete or was made from another file: making it again`)
    }
    const refusal = yield* makeRepacked(context, layout, path).pipe(Effect.as(undefined), Effect.catch(Effect.succeed))
    if (refusal === undefined) {
      context.announce(`repacked ffn_down by neuron: ${(layout.sizeBytes / 1e6).toFixed(1)} MB ${words}`)
      return path
    }
    refusals.push(refusal)
  }
  return yield* backendFailure(
    `ffn_down by neuron can be kept nowhere: ${refusals.join("; ")}; free space there, set XDG_CACHE_HOME to a directory with room, or run with the predictor every_neuron`
  )
})

const repackedPlaces = (model: Model, layout: RepackedLayout) => {
  const modelPath = model.gguf.files[0]!.path
  // The name alone would do beside the model; in a directory for all models the seal, bytes 24 to 55, tells them apart.
  const seal = layout.header.subarray(24, 40).toHex()
  const cache = join(cacheHome(), "powerinfer", "down_by_neuron", `${basename(modelPath)}.${seal}`)
  return [
    { path: `${modelPath}.down_by_neuron`, words: "beside the model" },
    { path: cache, words: `in ${dirname(cache)}` }
  ]
}

/** `ready` if the file begins as it should and is as long as it should be: the header is written last. */
const stateOf = (path: string, { header, sizeBytes }: RepackedLayout): "ready" | "stale" | "absent" => {
  let file: number
  try {
    file = openSync(path, "r")
  } catch {
    return "absent"
  }
  try {
    const found = new Uint8Array(header.length)
    const whole = fstatSync(file).size === sizeBytes && readSync(file, found, 0, header.length, 0) === header.length
    return whole && header.every((byte, at) => byte === found[at]) ? "ready" : "stale"
  } catch {
    return "stale"
  } finally {
    closeSync(file)
  }
}

/** Makes the file at `path`; fails, in words, if it cannot be had there. */
const makeRepacked = (context: RepackContext, layout: RepackedLayout, path: string): Effect.Effect<void, string> => {
  const temporary = `${path}.${process.pid}.${randomUUID()}.tmp`
  const step = (evaluate: () => void): Effect.Effect<void, string> =>
    Effect.try({
      try: evaluate,
      catch: (cause) => `${path}: ${cause instanceof Error ? cause.message : String(cause)}`
    })
  return Effect.acquireUseRelease(
    step(() => {
      removeAbandoned(path)
      createFile(temporary, layout.sizeBytes)
    }),
    Effect.fnUntraced(function* () {
      for (const [block, offset] of layout.offsets.entries()) {
        if (offset === undefined) continue
        yield* step(() => repackBlock(context, block, temporary, offset))
        // Lets an interruption in: the calls between are long.
        yield* Effect.yieldNow
      }
      yield* step(() => finishFile(temporary, layout.header))
      yield* step(() => renameSync(temporary, path))
    }),
    () => Effect.sync(() => rmSync(temporary, { force: true }))
  )
}

const createFile = (path: string, sizeBytes: number): void => {
  const directory = dirname(path)
  mkdirSync(directory, { recursive: true })
  // Asked beforehand: writing until the disk is full would be in everybody's way.
  const { bavail, bsize } = statfsSync(directory)
  if (bavail * bsize < sizeBytes) throw new Error(`it needs ${sizeBytes} bytes, ${bavail * bsize} are free`)
  // Empty: it grows as the native library writes, where a file too large for this process is an error. Here it would be a deadly signal.
  closeSync(openSync(path, "wx"))
}

const repackBlock = ({ cpu, files, model }: RepackContext, block: number, path: string, offset: number): void => {
  const { native, handle } = cpu
  const { weight } = model.blocks[block]!.down
  const { hiddenWidth, ffnWidth } = model.shape
  const pathBytes = new TextEncoder().encode(path)
  const status = native.symbols.powerinfer_repack_down(
    handle,
    files[weight.file]!,
    weight.offset,
    tensorTypes[weight.type].id,
    hiddenWidth,
    ffnWidth,
    pathBytes,
    pathBytes.length,
    offset
  )
  if (status < 0) throw new Error(native.failed("powerinfer_repack_down", status).reason)
}

/** The header says that the rest is there, so it follows when that is true even after a power cut. */
const finishFile = (path: string, header: Uint8Array): void => {
  const file = openSync(path, "r+")
  try {
    fsyncSync(file)
    writeSync(file, header, 0, header.length, 0)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
