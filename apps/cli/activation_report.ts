// How does an activation profile read: as a table for people, as keys for programs?
import { type ActivationProfile, densityOf, hotNeurons, shareOfHottest } from "powerinfer"
import { formatShare } from "./quantities.ts"
import { textTable } from "./text_table.ts"

/** What the power law is told by. */
const hotShare = 0.8
const hottest = 0.2

/** Of a block, or of all neurons of the model together. */
const lawOf = (counts: ReadonlyArray<number>) => ({
  /** Of the neurons: makes 80% of the activations. */
  hotShare: hotNeurons(counts, hotShare).length / counts.length,
  /** Of the activations: made by the most frequent 20% of the neurons. */
  shareOfHottest: shareOfHottest(counts, hottest),
  deadCount: counts.filter((count) => count === 0).length
})

const meanMagnitudeOf = ({ firingCounts, meanMagnitudes }: ActivationProfile["blocks"][number]): number => {
  const fired = firingCounts.reduce((sum, count) => sum + count, 0)
  const total = firingCounts.reduce((sum, count, neuron) => sum + count * meanMagnitudes[neuron]!, 0)
  return fired === 0 ? 0 : total / fired
}

const figuresOf = (profile: ActivationProfile) => {
  const blocks = profile.blocks.map((block, index) => ({
    activeShare: densityOf(profile, index),
    ...lawOf(block.firingCounts),
    meanMagnitude: meanMagnitudeOf(block),
    consecutiveOverlap: block.consecutiveOverlap,
    overlap: block.overlap
  }))
  const activeShare = blocks.reduce((sum, block) => sum + block.activeShare, 0) / blocks.length
  return { blocks, model: { activeShare, ...lawOf(profile.blocks.flatMap(({ firingCounts }) => firingCounts)) } }
}

/** A line a block, one for the model, and how alike the hot neurons of two texts are. */
export const activationText = (profile: ActivationProfile): string => {
  const { blocks, model } = figuresOf(profile)
  const corpora = profile.corpora.map(({ name, tokenCount }) => `${name} (${tokenCount} tokens)`).join(", ")
  const fires =
    profile.threshold === undefined ? "" : `; fires: above ${profile.threshold} of the row's root mean square`
  const head = ["block", "active", "makes 80%", "20% make", "dead", "magnitude", "next token"]
  const rows = blocks.map((block, index) => [
    String(index),
    formatShare(block.activeShare),
    formatShare(block.hotShare),
    formatShare(block.shareOfHottest),
    String(block.deadCount),
    block.meanMagnitude.toPrecision(3),
    block.consecutiveOverlap.toFixed(3)
  ])
  const all = [
    "all",
    formatShare(model.activeShare),
    formatShare(model.hotShare),
    formatShare(model.shareOfHottest),
    String(model.deadCount)
  ]
  const meaning =
    "active: share of the neurons that fires for a token; makes 80%: share of the neurons that makes 80% of the activations; 20% make: share of the activations that the most frequent 20% make; next token: how alike the sets of two consecutive tokens are (Jaccard)"
  return [
    `${profile.model.name}, ${corpora}${fires}`,
    "",
    textTable([head, ...rows, all]),
    ...overlapText(profile),
    "",
    meaning
  ].join("\n")
}

/** Of several texts. */
const overlapText = ({ corpora, blocks }: ActivationProfile): ReadonlyArray<string> =>
  corpora.flatMap((one, index) =>
    corpora.slice(index + 1).map((other, after) => {
      const byBlock = blocks.map(({ overlap }) => overlap[index]![index + 1 + after]!.toFixed(2)).join(" ")
      return `hot neurons of ${one.name} and ${other.name}, how alike by block: ${byBlock}`
    })
  )

export const activationJson = (profile: ActivationProfile) => {
  const { blocks, model } = figuresOf(profile)
  const law = (one: (typeof blocks)[number] | typeof model) => ({
    active_share: one.activeShare,
    neuron_share_making_80_percent: one.hotShare,
    activation_share_of_hottest_20_percent: one.shareOfHottest,
    dead_neurons: one.deadCount
  })
  return {
    model: profile.model,
    tokens: profile.tokenCount,
    threshold: profile.threshold ?? 0,
    corpora: profile.corpora.map(({ name, sha256, tokenCount }) => ({ name, sha256, tokens: tokenCount })),
    ...law(model),
    blocks: blocks.map((block) => ({
      ...law(block),
      mean_magnitude: block.meanMagnitude,
      consecutive_overlap: block.consecutiveOverlap,
      overlap: block.overlap
    }))
  }
}
