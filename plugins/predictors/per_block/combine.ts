// How do the predictors of several blocks become one?
import { type FfnThresholds, type NeuronSelector, selectorOfBlock } from "@powerinfer/core"

/** Drops zeros only. */
const zerosOnly: FfnThresholds = {}

/**
 * A selector that asks, in each block, the one that stands there.
 *
 * What one says of all blocks is said of its own: it is exact if all are; the FFN confirms if it does for any, which where zeros are all that
 * it drops changes no token of the others.
 */
export const combineBlocks = (selectors: ReadonlyArray<NeuronSelector>): NeuronSelector => {
  const ofBlock = <A>(take: (selector: NeuronSelector) => ReadonlyArray<A> | undefined, otherwise: A) =>
    selectors.some((selector) => take(selector) !== undefined)
      ? selectors.map((selector, block) => take(selector)?.[block] ?? otherwise)
      : undefined
  const selectionBytes = ofBlock((selector) => selector.selectionBytes, 0)
  const thresholds = ofBlock((selector) => selector.thresholds, zerosOnly)
  const proposes = selectors.every((selector) => selector.proposes === "every") ? "every" : "some"
  return {
    proposes,
    confirms: selectors.some(({ confirms }) => confirms),
    exact: selectors.every(({ exact }) => exact),
    ...(selectionBytes && { selectionBytes }),
    ...(thresholds && { thresholds }),
    ...(proposes === "some" && { blocks: selectors.map(selectorOfBlock) }),
    select: (block, hidden, active, batch) => {
      const selector = selectors[block]!
      if (selector.proposes === "every") active.fill()
      else selector.select(block, hidden, active, batch)
    }
  }
}
