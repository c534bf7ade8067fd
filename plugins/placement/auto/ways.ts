// In which ways can devices be filled?
import {
  fillByBlock,
  fillByFrequency,
  fillEvenly,
  hottestFirst,
  lowestFirst,
  ownedBy,
  type Owners,
  type PlacementProblem
} from "@powerinfer/core"

/** A way of filling devices. */
export interface Way {
  readonly owners: Owners
  /** What comes after "the rest of the neurons". */
  readonly how: string
  /** Nothing is faster: not compared with the others. */
  readonly always: boolean
}

/** All that `auto` weighs: devices alone, the fastest first, then divisions. */
export const waysOf = (problem: PlacementProblem, profiled: boolean): ReadonlyArray<Way> => {
  const { heldBytes, ffnWidth, fastestFirst, frequencies, home } = problem
  const alone = fastestFirst.map((device): Way => ({
    owners: ownedBy(device, heldBytes.length, ffnWidth),
    how: "whole",
    always: device === home && device === fastestFirst[0]
  }))
  const divided: ReadonlyArray<readonly [string, Owners | undefined]> = [
    ...(profiled
      ? ([
          ["those that fire most often", fillByFrequency(problem)],
          [
            "of every block those that fire most often",
            fillEvenly(problem, (block) => hottestFirst(frequencies[block]!))
          ]
        ] as const)
      : []),
    ["whole blocks", fillByBlock(problem)],
    ["the same share of every block", fillEvenly(problem, () => lowestFirst(ffnWidth))]
  ]
  return [
    ...alone,
    ...divided.flatMap(([how, owners]): ReadonlyArray<Way> => (owners ? [{ owners, how, always: false }] : []))
  ]
}
