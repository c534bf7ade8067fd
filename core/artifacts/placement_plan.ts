// Who holds which neuron, by which policy, for which devices, and how fast should that be? The file that `powerinfer place` writes.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { cacheTypes } from "../backend.ts"
import type { ModelShape } from "../model/model.ts"
import { checkPlan } from "../plan.ts"
import type { NeuronShare, PlacementPlan } from "../placement.ts"
import { defineArtifact, type MadeFor } from "./artifact.ts"

const Bytes = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** `DeviceFacts`, and the backend that a device is at run time where that has another name. */
const PlannedDevice = Schema.Struct({
  name: Schema.String,
  backend: Schema.optionalKey(Schema.String),
  memoryBytes: Bytes,
  bandwidthBytesPerSecond: Schema.optionalKey(Bytes),
  neuronOverheadSeconds: Schema.optionalKey(Bytes),
  handOffSeconds: Schema.optionalKey(Bytes),
  tokenOverheadSeconds: Schema.optionalKey(Bytes)
})
export type PlannedDevice = typeof PlannedDevice.Type

const Content = Schema.Struct({
  home: Count,
  /** In the order of the shares. */
  devices: Schema.Array(PlannedDevice),
  /** False: the devices come from a file, and the plan is for looking at, or for another machine. */
  devicesPresent: Schema.Boolean,
  policy: Schema.Struct({
    name: Schema.String,
    version: Schema.String,
    options: Schema.Record(Schema.String, Schema.Unknown)
  }),
  /** Of the profile that it was made with. */
  profile: Schema.optionalKey(Schema.Struct({ sha256: Schema.String, tokenCount: Count })),
  /** What was kept free besides neurons, and for what. */
  contextLength: Count,
  cacheType: Schema.Literals(cacheTypes),
  reservedBytes: Schema.Struct({ cacheBytes: Bytes, predictorBytes: Bytes, workspaceBytes: Bytes }),
  /** [block][device]: "all", "none", or the bitset u32[ceil(ffn_width / 32)], little-endian, in base64. */
  shares: Schema.Array(Schema.Array(Schema.String)),
  /** What the policy had to say. */
  notes: Schema.Array(Schema.String),
  /** Where every device that takes part has a bandwidth. */
  prediction: Schema.optionalKey(
    Schema.Struct({
      tokensPerSecond: Schema.Finite,
      bytesPerToken: Schema.Finite,
      cachePositions: Count,
      selection: Schema.Struct({
        proposes: Schema.Literals(["every", "some"]),
        confirms: Schema.Boolean,
        candidateShare: Schema.optionalKey(Schema.Finite)
      }),
      /** Of a token, by what they go into. */
      seconds: Schema.Struct({
        attention: Schema.Finite,
        cache: Schema.Finite,
        output: Schema.Finite,
        ffn: Schema.Finite,
        predictor: Schema.Finite,
        handOff: Schema.Finite,
        overhead: Schema.Finite
      })
    })
  )
})

/** What `powerinfer place` writes. */
export type PlanFile = MadeFor<typeof Content.Type>

export const planFile = defineArtifact({
  name: "placement plan",
  format: "powerinfer.placement_plan",
  version: 1,
  madeBy: "powerinfer place",
  content: Content
})

/** Shares as the file has them. A bitset takes at least 8 characters, so that it is never one of the words. */
export const writeShares = (shares: PlacementPlan["shares"]): PlanFile["shares"] =>
  shares.map((block) => block.map((share) => (typeof share === "string" ? share : writeBits(share))))

const writeBits = (words: Uint32Array): string => {
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  words.forEach((word, index) => view.setUint32(index * 4, word, true))
  return btoa(String.fromCharCode(...bytes))
}

/** The plan of a file. Fails with `PlacementImpossible` where it is none for this shape: a file that somebody has edited. */
export const readShares = Effect.fnUntraced(function* (
  { home, shares, devices, notes }: Pick<PlanFile, "home" | "shares" | "devices" | "notes">,
  shape: Pick<ModelShape, "blockCount" | "ffnWidth">,
  reader: string
) {
  const plan: PlacementPlan = { home, shares: shares.map((block) => block.map(readBits)), notes }
  yield* checkPlan(plan, shape, devices.length, reader)
  return plan
})

/** What is no base64 becomes an empty bitset, which no plan has. */
const readBits = (text: string): NeuronShare => {
  if (text === "all" || text === "none") return text
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return new Uint32Array(0)
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  const view = new DataView(bytes.buffer)
  return Uint32Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => view.getUint32(index * 4, true))
}
