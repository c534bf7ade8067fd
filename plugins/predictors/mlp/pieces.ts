// How is a block that has been trained kept, so that training which was ended goes on after it?
import { PredictorFailure, type StoredMatrix, type TrainingCheckpoint } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type { TrainedBlock } from "./train_block.ts"

interface Head extends Pick<TrainedBlock, "rank" | "outcome"> {
  readonly down: { readonly type: StoredMatrix["type"]; readonly sizeBytes: number }
  readonly up: { readonly type: StoredMatrix["type"]; readonly sizeBytes: number }
}

/** A line of JSON, then the bytes of both matrices and the thresholds. */
export const encodePiece = ({ rank, outcome, stored, thresholds }: TrainedBlock): Uint8Array => {
  const { down, up } = stored
  const head: Head = {
    rank,
    outcome,
    down: { type: down.type, sizeBytes: down.bytes.length },
    up: { type: up.type, sizeBytes: up.bytes.length }
  }
  const parts = [new TextEncoder().encode(`${JSON.stringify(head)}\n`), down.bytes, up.bytes, bytesOf(thresholds)]
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

export const decodePiece = (bytes: Uint8Array<ArrayBuffer> | undefined): TrainedBlock | undefined => {
  if (bytes === undefined) return undefined
  let at = bytes.indexOf(10) + 1
  const { rank, outcome, down, up } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at))) as Head
  const take = (sizeBytes: number) => bytes.slice(at, (at += sizeBytes))
  return {
    rank,
    outcome,
    stored: {
      down: { type: down.type, bytes: take(down.sizeBytes) },
      up: { type: up.type, bytes: take(up.sizeBytes) }
    },
    thresholds: new Float32Array(take(bytes.length - at).buffer)
  }
}

/** Keeps a piece where there is a place for it. */
export const rememberPiece = (
  checkpoint: TrainingCheckpoint | undefined,
  name: string,
  bytes: Uint8Array
): Effect.Effect<void, PredictorFailure> =>
  Effect.try({
    try: () => checkpoint?.write(name, bytes),
    catch: (cause) =>
      new PredictorFailure({
        predictor: "mlp",
        reason: `a finished piece cannot be kept (${(cause as Error).message})`
      })
  })

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
