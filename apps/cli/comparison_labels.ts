// How are the ways of an experiment told apart in a table or a chart?
import { basename } from "node:path"
import type { ModelSummary, UsedPlugin, VariantSummary } from "powerinfer"
import { showValue } from "./option_text.ts"

/** By variant: the predictor with those options that differ among its ways, and the placement where there are several. */
export const variantLabels = (models: ReadonlyArray<ModelSummary>): ReadonlyMap<string, string> => {
  const variants = models.flatMap((model) => model.variants)
  const predictors = differing(variants.map(({ predictor }) => predictor))
  const placements = differing(variants.map(({ placement }) => placement))
  const severalPlacements = new Set(variants.map(({ placement }) => labelOf(placement, placements))).size > 1
  const label = ({ predictor, placement }: VariantSummary): string =>
    severalPlacements
      ? `${labelOf(predictor, predictors)}, ${labelOf(placement, placements)}`
      : labelOf(predictor, predictors)
  return new Map(variants.map((variant) => [variant.variant, label(variant)]))
}

/** "mlp threshold=0.5"; without `keys` all options. */
export const labelOf = ({ name, options }: UsedPlugin, keys?: ReadonlyMap<string, ReadonlySet<string>>): string => {
  const shown = Object.entries(options).filter(([key]) => keys === undefined || keys.get(name)?.has(key))
  return [name, ...shown.map(([key, value]) => `${key}=${withoutFolders(showValue(value))}`)].join(" ")
}

const withoutFolders = (text: string): string =>
  text.replaceAll(/[^\s:()=,;"']*[\\/][^\s:()=,;"']+/g, (path) => basename(path))

/** By plugin name: the options of which it has several values, or which only some have. */
const differing = (plugins: ReadonlyArray<UsedPlugin>): ReadonlyMap<string, ReadonlySet<string>> =>
  new Map(
    [...Map.groupBy(plugins, ({ name }) => name)].map(([name, own]) => {
      const keys = new Set(own.flatMap(({ options }) => Object.keys(options)))
      const differ = [...keys].filter((key) => new Set(own.map(({ options }) => JSON.stringify(options[key]))).size > 1)
      return [name, new Set(differ)] as const
    })
  )
