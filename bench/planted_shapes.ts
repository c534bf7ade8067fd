// Which models can be planted?
import type { TinyFamily, TinyShape } from "@powerinfer/core/testing"

/** Families whose neurons a single matrix decides about, with activations of the kind ReLU. */
export type PlantedFamily = Extract<TinyFamily, "llama" | "smallthinker" | "opt" | "falcon">

export interface PlantedShape extends TinyShape {
  readonly family: PlantedFamily
}

const llama1b = {
  family: "llama",
  blockCount: 22,
  hiddenWidth: 2048,
  ffnWidth: 5632,
  headCount: 32,
  kvHeadCount: 4,
  headWidth: 64,
  vocabularySize: 32000,
  contextLength: 2048
} as const

const llama7b = {
  family: "llama",
  blockCount: 32,
  hiddenWidth: 4096,
  ffnWidth: 11008,
  headCount: 32,
  kvHeadCount: 32,
  headWidth: 128,
  vocabularySize: 32000,
  contextLength: 4096
} as const

const tiny = {
  family: "llama",
  blockCount: 3,
  hiddenWidth: 256,
  ffnWidth: 768,
  headCount: 8,
  kvHeadCount: 4,
  headWidth: 32,
  vocabularySize: 512,
  contextLength: 256
} as const

/** Shapes by name. `llama-1.1b` is TinyLlama's, `llama-7b` Llama 2's, the others those of the models they are named for; `tiny…` is for tests. */
export const plantedShapes = {
  "llama-1.1b": llama1b,
  "llama-7b": llama7b,
  "llama-7b-8-blocks": { ...llama7b, blockCount: 8 },
  "opt-6.7b": {
    family: "opt",
    blockCount: 32,
    hiddenWidth: 4096,
    ffnWidth: 16384,
    headCount: 32,
    kvHeadCount: 32,
    headWidth: 128,
    vocabularySize: 50272,
    contextLength: 2048
  },
  "falcon-7b": {
    family: "falcon",
    blockCount: 32,
    hiddenWidth: 4544,
    ffnWidth: 18176,
    headCount: 71,
    kvHeadCount: 1,
    headWidth: 64,
    vocabularySize: 65024,
    contextLength: 2048
  },
  tiny,
  "tiny-opt": { ...tiny, family: "opt", kvHeadCount: 8 },
  "tiny-falcon": { ...tiny, family: "falcon", kvHeadCount: 1 }
} as const satisfies Readonly<Record<string, PlantedShape>>
