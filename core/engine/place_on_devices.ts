// Who holds what of a model, and how long may its sessions be? What devices say of themselves, a policy's plan for them, checked.
import * as Effect from "effect/Effect"
import { estimateMemory } from "../model/memory.ts"
import type { Model } from "../model/model.ts"
import { checkPlan } from "../plan.ts"
import type { DeviceFacts, PlacementContext, PlacementPlan, ReservedBytes } from "../placement.ts"
import { fastestDevices, homeMemoryBytes, neuronMemoryBytes } from "../placing/problem.ts"
import type { NeuronSelector } from "../predictor.ts"
import type { SessionOptions } from "./session.ts"

/** What is placed, and what it will be used for. */
export interface PlacementOrder {
  readonly model: Model
  readonly selector: Pick<NeuronSelector, "proposes" | "selectionBytes">
  readonly rowCountMax: number
  /** Absent: no room is left for KV caches. */
  readonly session: SessionOptions | undefined
}

/** A plan for the devices that take part in it. */
export interface Placed {
  readonly plan: PlacementPlan
  /** Their indices among all that were there. */
  readonly devices: ReadonlyArray<number>
  /** Of sessions that ask for no length. */
  readonly contextLength: number
}

/** Shorter sessions are of little use: a model that leaves less than this has too little memory. */
const leastContext = 256

/**
 * Asks devices, chooses a length of sessions if nobody did, and has the policy place the model.
 *
 * - `factsFor`  of every device, for sessions of this length
 * - `policy`    makes the plan
 */
export const placeOnDevices = Effect.fnUntraced(function* <E1, E2, R>(
  order: PlacementOrder,
  policyName: string,
  factsFor: (contextLength: number) => Effect.Effect<ReadonlyArray<DeviceFacts>, E1, R>,
  policy: (context: PlacementContext) => Effect.Effect<PlacementPlan, E2, R>,
  announce: (line: string) => void
) {
  const { model, session } = order
  const full = model.shape.contextLength
  let contextLength = session?.contextLength ?? full
  let devices = comparable(yield* factsFor(session === undefined ? 0 : contextLength))
  if (session !== undefined && session.contextLength === undefined && devices.length > 0) {
    for (let length = full; length >= Math.min(full, leastContext); length = Math.floor(length / 2)) {
      const facts = length === full ? devices : comparable(yield* factsFor(length))
      if (!sessionFits(model, facts, reservedFor(order, length))) continue
      ;[contextLength, devices] = [length, facts]
      break
    }
  }
  if (contextLength < full && session?.contextLength === undefined) {
    const { name } = devices[fastestDevices(devices)[0]!]!
    announce(
      `sessions hold ${contextLength} tokens of the ${full} that the model was made for: more do not fit in the memory of ${name}; --ctx asks for another number`
    )
  }
  const reservedBytes = reservedFor(order, session === undefined ? 0 : contextLength)
  const plan = yield* policy({ model, devices, reservedBytes })
  // It said that this is a plan: that is another thing than to say that there is none.
  yield* checkPlan(plan, model.shape, devices.length, policyName).pipe(Effect.catch(({ reason }) => Effect.die(reason)))
  for (const line of plan.notes ?? []) announce(line)
  const placed: Placed = { ...withoutIdle(plan, devices.length), contextLength }
  return placed
})

/** Speeds count where every device has one: a plan is made from all or none. */
const comparable = (devices: ReadonlyArray<DeviceFacts>): ReadonlyArray<DeviceFacts> =>
  devices.every(({ bandwidthBytesPerSecond }) => bandwidthBytesPerSecond !== undefined)
    ? devices
    : devices.map(({ name, memoryBytes, modelMemory }) => ({
        name,
        memoryBytes,
        ...(modelMemory && { modelMemory })
      }))

const reservedFor = (
  { model, selector, rowCountMax, session }: PlacementOrder,
  contextLength: number
): ReservedBytes => {
  const cacheType = session?.cacheType ?? "f16"
  const { cacheBytes, workspaceBytes } = estimateMemory(model, { contextLength, cacheType, rowCountMax })
  const predictorBytes = Math.ceil((selector.selectionBytes ?? []).reduce((sum, bytes) => sum + bytes, 0))
  return { cacheBytes, predictorBytes, workspaceBytes }
}

/** Whether the fastest device can be the home of such a session: with the whole model, or, of several devices, with half of its room left for neurons. */
const sessionFits = (model: Model, devices: ReadonlyArray<DeviceFacts>, reserved: ReservedBytes): boolean => {
  const home = devices[fastestDevices(devices)[0]!]!
  const room = home.memoryBytes - homeMemoryBytes(model, { ...reserved, cacheBytes: 0 }, home)
  if (reserved.cacheBytes + neuronMemoryBytes(model, home) <= room) return true
  return devices.length > 1 && reserved.cacheBytes <= room / 2
}

/** Devices that the plan gives nothing need not be opened. */
const withoutIdle = (plan: PlacementPlan, deviceCount: number) => {
  const devices = Array.from({ length: deviceCount }, (_, device) => device).filter(
    (device) => device === plan.home || plan.shares.some((block) => block[device] !== "none")
  )
  const shares = plan.shares.map((block) => devices.map((device) => block[device]!))
  return { plan: { ...plan, home: devices.indexOf(plan.home), shares }, devices }
}
