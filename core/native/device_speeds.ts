// How fast were the devices of this machine when they were measured? Kept in a file of the user's cache, so that nobody measures at every start.
import { mkdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { attemptWrite, writeFully, writeWholeFile } from "../whole_file.ts"
import { cacheHome } from "./locate.ts"

const Speed = Schema.Struct({
  bandwidthBytesPerSecond: Schema.Finite.check(Schema.isGreaterThan(0)),
  handOffSeconds: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))
})
const Speeds = Schema.Record(Schema.String, Speed)

/** What a placement weighs. */
export type DeviceSpeed = typeof Speed.Type

/** What a measurement depends on: another driver or library is measured anew. */
export interface MeasuredDevice {
  /** As the device calls itself. */
  readonly name: string
  /** Version of its driver; 0 where it has none. */
  readonly driver: number
  /** Path of the library that measures. */
  readonly library: string
}

/** Under which a speed is kept. A library is known by its size and time: where it lies does not matter. */
export const speedKey = ({ name, driver, library }: MeasuredDevice): string => {
  const { size, mtimeMs } = statSync(library)
  return `${name}, driver ${driver}, library ${size}-${Math.floor(mtimeMs)}`
}

const speedsFile = (): string => join(cacheHome(), "powerinfer", "device_speeds.json")

/** A file that is missing or damaged is one that knows nothing. */
const readSpeeds = (): typeof Speeds.Type => {
  try {
    return Option.getOrElse(
      Schema.decodeUnknownOption(Speeds)(JSON.parse(readFileSync(speedsFile(), "utf8"))),
      () => ({})
    )
  } catch {
    return {}
  }
}

/** What was measured, if it was. */
export const knownSpeed = (key: string): DeviceSpeed | undefined => readSpeeds()[key]

/** Keeps what was measured. Where it cannot be written, it will be measured again: that is all there is to lose. */
export const keepSpeed = (key: string, speed: DeviceSpeed): Effect.Effect<void> =>
  Effect.suspend(() => {
    const path = speedsFile()
    const text = `${JSON.stringify({ ...readSpeeds(), [key]: speed }, undefined, 2)}\n`
    return Effect.andThen(
      attemptWrite(path, () => mkdirSync(dirname(path), { recursive: true })),
      writeWholeFile(path, (descriptor) =>
        attemptWrite(path, () => writeFully(descriptor, new TextEncoder().encode(text)))
      )
    )
  }).pipe(Effect.ignore)
