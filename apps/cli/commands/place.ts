// powerinfer place: which device should hold which neurons, and how fast would that be?
import { basename, resolve } from "node:path"
import * as Effect from "effect/Effect"
import {
  attemptWrite,
  type CacheType,
  checkCacheType,
  deviceEntry,
  importPlugin,
  openModel,
  optionFields,
  planFile,
  type PlacedModel,
  placeModel,
  type PlannedDevice,
  readDeviceFile,
  type Selection,
  withDefaults,
  writeFully,
  writeWholeFile
} from "powerinfer"
import { findPlugin } from "../find_plugin.ts"
import { note, print, printJson } from "../output.ts"
import { placementPicture } from "../pictures/placement_picture.ts"
import { placementJson, placementText } from "../placement_report.ts"
import { presentDevices } from "../present_devices.ts"
import { withProgress } from "../progress.ts"

export interface PlaceInput {
  readonly model: string
  readonly policy: string
  readonly profile: string | undefined
  readonly devices: string
  readonly backend: ReadonlyArray<string>
  readonly calibrate: boolean
  readonly saveDevices: string | undefined
  readonly ctx: number | undefined
  readonly kvType: CacheType | undefined
  readonly batch: number | undefined
  readonly predictorBytes: number
  readonly proposes: Selection["proposes"] | undefined
  readonly confirms: boolean | undefined
  readonly candidates: number | undefined
  readonly out: string | undefined
  readonly svg: string | undefined
  readonly order: "frequency" | "id" | undefined
  readonly json: boolean
}

/** Prints the plan as tables, or JSON; writes it and draws it where that is asked for. */
export const place = Effect.fnUntraced(function* (input: PlaceInput) {
  const placed = yield* withProgress(`Placing ${basename(input.model)}`, (announce) => placeInput(input, announce))
  const { saveDevices, out, svg } = input
  if (saveDevices !== undefined) {
    yield* writeText(
      saveDevices,
      `${JSON.stringify({ devices: placed.file.devices.map(deviceEntry) }, undefined, 2)}\n`
    )
  }
  if (out !== undefined) yield* planFile.write(out, placed.file)
  if (svg !== undefined) {
    const order = input.order ?? (input.profile === undefined ? "id" : "frequency")
    yield* writeText(svg, placementPicture(placed, order))
  }
  if (input.json) return yield* printJson(placementJson(placed))
  yield* print(placementText(placed))
  for (const path of [saveDevices, out, svg]) if (path !== undefined) yield* note(`wrote ${path}`)
})

const placeInput = Effect.fnUntraced(function* (input: PlaceInput, announce: (line: string) => void) {
  const model = yield* openModel(input.model)
  const cacheType = input.kvType ?? "f16"
  yield* checkCacheType(model, cacheType)
  const here = input.devices === "here"
  const proposes = input.proposes ?? "every"
  const contextLength = input.ctx ?? model.shape.contextLength
  const rowCountMax = input.batch ?? (yield* withDefaults({ model: input.model })).rowCountMax
  const workload = { model, rowCountMax, contextLength, selects: proposes === "some" }
  const { devices, activeShare } = here
    ? yield* presentDevices(
        model,
        { backends: input.backend, calibrate: input.calibrate, cacheType, workload },
        announce
      )
    : { devices: (yield* readDeviceFile(input.devices)) as ReadonlyArray<PlannedDevice>, activeShare: undefined }
  const selection: Selection = {
    proposes,
    confirms: (input.confirms ?? proposes === "every") && model.sparse,
    candidateShare: input.candidates
  }
  const placed: PlacedModel = yield* placeModel({
    model,
    devices,
    devicesPresent: here,
    policy: yield* policyUse(input, selection),
    profile: input.profile,
    activeShare,
    selection,
    contextLength,
    cacheType,
    predictorBytes: input.predictorBytes,
    rowCountMax
  })
  return placed
})

/** The policy, told what the command knows where it has an option for it and was not told otherwise. */
const policyUse = Effect.fnUntraced(function* (input: PlaceInput, selection: Selection) {
  const use = yield* findPlugin("placement", input.policy)
  const plugin = yield* importPlugin("placement", use.name, use.module)
  const takes = new Set(optionFields(plugin.options).map(({ key }) => key))
  const known: Readonly<Record<string, unknown>> = {
    profile: input.profile === undefined ? undefined : resolve(input.profile),
    proposes: selection.proposes,
    confirms: selection.confirms,
    candidates: selection.candidateShare
  }
  const passed = Object.entries(known).filter(([key, value]) => value !== undefined && takes.has(key))
  return { ...use, options: { ...Object.fromEntries(passed), ...use.options } }
})

const writeText = (path: string, text: string) =>
  writeWholeFile(path, (descriptor) => attemptWrite(path, () => writeFully(descriptor, new TextEncoder().encode(text))))
