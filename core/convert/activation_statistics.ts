// How often did PowerInfer see each neuron fire? The folder `activation` beside a model: activation_0.pt, activation_1.pt, …
//
// One tensor a block, [ffn_width]: counts. PowerInfer reads the files in the order of their names, so that 10 comes before 2; here the number counts.
import { createHash } from "node:crypto"
import { readdirSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import type { ActivationProfile } from "../artifacts/activation_profile.ts"
import { identityOf } from "../artifacts/artifact.ts"
import { withFile } from "../gguf/file_source.ts"
import { FileUnreadable, type GgufError } from "../gguf/gguf_error.ts"
import type { Model } from "../model/model.ts"
import {
  attemptConversion,
  type ConversionError,
  ConversionImpossible,
  ForeignFileInvalid
} from "./conversion_error.ts"
import { readTorchVector } from "./torch/read_vector.ts"

/** What the folder holds. */
export interface ActivationStatistics {
  readonly directory: string
  /** Of the files' bytes, in the order of the blocks. */
  readonly sha256: string
  /** f64[ffn_width] a block. */
  readonly blocks: ReadonlyArray<Float64Array>
}

const fileName = /^activation_(\d{1,6})\.pt$/

/** Fails with `ForeignFileInvalid`: a block is missing, a file is damaged or holds what is no count; with `FileUnreadable` and its like. */
export const readActivationStatistics = (directory: string): Effect.Effect<ActivationStatistics, ConversionError> =>
  attemptConversion(() => {
    const found = new Map<number, string>()
    for (const name of listed(directory)) {
      const block = fileName.exec(name)?.[1]
      if (block === undefined) continue
      const other = found.get(Number(block))
      if (other) throw new ForeignFileInvalid({ path: directory, reason: `${other} and ${name} are of the same block` })
      found.set(Number(block), name)
    }
    if (found.size === 0) throw new ForeignFileInvalid({ path: directory, reason: "it holds no activation_0.pt" })
    const hash = createHash("sha256")
    const blocks = Array.from({ length: found.size }, (_, block) => {
      const name = found.get(block)
      if (name === undefined) {
        const reason = `it holds ${found.size} files of blocks, but no activation_${block}.pt`
        throw new ForeignFileInvalid({ path: directory, reason })
      }
      const path = join(directory, name)
      const counts = readTorchVector(path)
      if (!counts.every((count) => count >= 0 && Number.isFinite(count))) {
        throw new ForeignFileInvalid({ path, reason: "it holds what is no count: a number below zero, or none" })
      }
      withFile(path, (source) => hash.update(source.read(0, source.sizeBytes)))
      return counts
    })
    return { directory, sha256: hash.digest("hex"), blocks }
  })

const listed = (directory: string): ReadonlyArray<string> => {
  try {
    return readdirSync(directory)
  } catch (error) {
    throw new FileUnreadable({ path: directory, reason: (error as Error).message })
  }
}

/**
 * The statistics as an activation profile of this model.
 *
 * - `tokenCount`  tokens that were run. The files do not say: absent, it is the largest count, which is the least it can be. Where they hold
 *                 frequencies (0 … 1) instead of counts, it makes counts of them, and must be given
 * - returns       magnitudes and overlaps of 0: the files do not know them
 * - fails         with `ConversionImpossible` where they are of a model of another shape, or are no counts of so many tokens
 */
export const statisticsProfile = (
  statistics: ActivationStatistics,
  model: Model,
  tokenCount?: number
): Effect.Effect<ActivationProfile, ConversionError | GgufError> =>
  Effect.gen(function* () {
    const { tokens, blocks } = yield* attemptConversion(() => countsOf(statistics, model, tokenCount))
    return {
      model: yield* identityOf(model),
      tokenCount: tokens,
      corpora: [
        {
          name: `PowerInfer's ${basename(resolve(statistics.directory))}`,
          sha256: statistics.sha256,
          tokenCount: tokens
        }
      ],
      blocks: blocks.map((firingCounts) => ({
        firingCounts: [...firingCounts],
        meanMagnitudes: Array.from(firingCounts, () => 0),
        overlap: [[1]],
        consecutiveOverlap: 0
      }))
    }
  })

const countsOf = ({ directory, blocks }: ActivationStatistics, { shape }: Model, given: number | undefined) => {
  const impossible = (reason: string, remedy: string) => new ConversionImpossible({ path: directory, reason, remedy })
  if (blocks.length !== shape.blockCount) {
    const remedy = "name the model that they were counted with"
    throw impossible(`it has statistics of ${blocks.length} blocks, the model has ${shape.blockCount}`, remedy)
  }
  const wrong = blocks.findIndex((counts) => counts.length !== shape.ffnWidth)
  if (wrong >= 0) {
    const reason = `activation_${wrong}.pt has ${blocks[wrong]!.length} neurons, the model ${shape.ffnWidth}`
    throw impossible(reason, "name the model that they were counted with")
  }
  const largest = blocks.reduce((most, counts) => counts.reduce((a, b) => Math.max(a, b), most), 0)
  if (blocks.every((counts) => counts.every(Number.isInteger))) {
    if (given !== undefined && given < largest) {
      throw impossible(
        `a neuron fired ${largest} times, more often than there were ${given} tokens`,
        "give --tokens as it was"
      )
    }
    return { tokens: given ?? largest, blocks }
  }
  if (largest > 1) throw impossible("it holds numbers that are neither counts nor frequencies", "count them again")
  if (given === undefined) throw impossible("it holds frequencies, not counts", "say of how many tokens with --tokens")
  return { tokens: given, blocks: blocks.map((shares) => shares.map((share) => Math.round(share * given))) }
}
