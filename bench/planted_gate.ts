// Which rows make neurons fire as often as planned, and for reasons that a small predictor can learn?
//
// A row is a bias, on the channels of the hidden vector that are constant, and a varying part: a few of the block's shared directions plus noise,
//
//   row = [ bias … bias | spread · (√s · B A + √(1 − s) · noise) ]        s = lowRankShare
//
// A f32[rank, width] holds the directions, normal and drawn afresh for every block. A row of B has `loadCount` entries ±1/√loadCount at random
// places, so a weight costs loadCount multiply-adds and not rank. All `rank` directions are used by as many neurons: the singular values of B A
// are as even as those of a dense random matrix of that rank, and every direction holds s/rank of the variance; noise spreads 1 − s over all.
import type { Random } from "@powerinfer/core"
import { type NormalPool, normalValues } from "./planted_rows.ts"

/** How the varying part of a gate row is made. */
export interface GateVariation {
  /** Directions of the hidden vector that the neurons of a block share. */
  readonly rank: number
  /** Share of the varying part's variance that lies in them, 0 … 1; the rest is noise. */
  readonly lowRankShare: number
}

interface GateRows extends GateVariation {
  /** Constant channels at the beginning of the hidden vector. */
  readonly constantWidth: number
  readonly width: number
  /** Standard deviation of the weights of the varying channels. */
  readonly spread: number
  /** The weight of the constant channels, f32[ffn_width]. */
  readonly biases: Float32Array
}

/** Directions that a neuron listens to. */
const loadCount = 8

/** A function that sets `row` to the weights of neuron `index`; asked for every neuron once, in order. */
export const gateRows = (pool: NormalPool, gate: GateRows, random: Random) => {
  const { rank, lowRankShare, constantWidth, width, spread, biases } = gate
  const varying = width - constantWidth
  const directions = normalValues(rank * varying + ((rank * varying) % 2), random)
  const loads = Math.min(loadCount, rank)
  const load = spread * Math.sqrt(lowRankShare / loads)
  const noise = spread * Math.sqrt(1 - lowRankShare)
  const order = Uint32Array.from({ length: rank }, (_, direction) => direction)

  return (row: Float32Array, index: number): void => {
    const part = row.subarray(constantWidth)
    const start = Math.floor(random.nextUniform() * (pool.values.length - varying + 1))
    for (let i = 0; i < varying; i++) part[i] = noise * pool.values[start + i]!
    shuffle(order, random, loads)
    for (const direction of order.subarray(0, loads)) {
      addScaled(part, directions, direction * varying, random.nextUniform() < 0.5 ? load : -load)
    }
    row.fill(biases[index]!, 0, constantWidth)
  }
}

const addScaled = (row: Float32Array, from: Float32Array, start: number, scale: number): void => {
  for (let i = 0; i < row.length; i++) row[i]! += scale * from[start + i]!
}

/** Puts a random choice of the values, in random order, into the first `count` places (Fisher and Yates). */
export const shuffle = (values: Uint32Array, random: Random, count = values.length): void => {
  for (let i = 0; i < count; i++) {
    const j = i + Math.floor(random.nextUniform() * (values.length - i))
    const held = values[i]!
    values[i] = values[j]!
    values[j] = held
  }
}
