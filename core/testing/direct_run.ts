// How does one device run rows without an engine around it?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CacheType, Device, FfnPartial } from "../backend.ts"
import { Batch, type HiddenRows } from "../batch.ts"
import type { Model } from "../model/model.ts"
import type { NeuronSet } from "../neuron_set.ts"
import type { PluginKinds } from "../plugin.ts"
import type { LoadedPlugin } from "../plugin_host/load_plugin.ts"

/** Opens the only device of a model: home to every neuron. */
export const openHome = (
  backend: Pick<LoadedPlugin<"backend">, "open">,
  model: Model,
  options: { readonly rowCountMax: number; readonly sparse: boolean }
): Effect.Effect<Device, PluginKinds["backend"]["refusal"], Scope.Scope> =>
  backend.open({
    model,
    candidates: "some",
    shares: model.blocks.map(() => "all" as const),
    home: true,
    announce: () => {},
    ...options
  })

/** How the FFN of a direct run is computed. */
export interface DirectFfn {
  readonly confirms?: boolean
  /** Candidates of a block; undefined means all neurons. */
  readonly select?: (block: number, hidden: HiddenRows) => NeuronSet | undefined
  /** Computes the FFN instead, on any number of devices. */
  readonly partials?: (block: number, hidden: HiddenRows) => ReadonlyArray<FfnPartial>
}

/** The rows that are in use, in a buffer of their own. */
export const copyRows = ({ rowCount, width, values, residual }: HiddenRows): HiddenRows => ({
  rowCount,
  width,
  values: values.slice(0, rowCount * width),
  ...(residual && { residual: residual.slice(0, rowCount * width) })
})

/** Runs a batch through every block of the home. Returns f32[logit_count, vocabulary_size], valid until the next batch. */
export const runBatch = (home: Device, blockCount: number, batch: Batch, ffn: DirectFfn = {}): Float32Array => {
  home.embed(batch)
  for (let block = 0; block < blockCount; block++) {
    const hidden = home.attend(batch, block)
    const partials = ffn.partials?.(block, hidden) ?? [
      home.startFfn(block, hidden, ffn.select?.(block, hidden), ffn.confirms ?? false)
    ]
    home.mergeFfn(block, partials)
  }
  return home.logits(batch)
}

/**
 * Runs tokens from position 0 in batches of at most `rowCount` rows, in a cache of its own.
 *
 * Returns a copy of the logits at every position: f32[token_count, vocabulary_size].
 */
export const runTokens = Effect.fnUntraced(function* (
  home: Device,
  model: Model,
  tokens: ReadonlyArray<number>,
  options: { readonly rowCount: number; readonly cacheType?: CacheType } & DirectFfn
) {
  const { vocabularySize, blockCount } = model.shape
  const cache = yield* home.openCache(tokens.length, options.cacheType ?? "f32")
  const batch = new Batch(options.rowCount)
  const logits = new Float32Array(tokens.length * vocabularySize)
  for (let start = 0; start < tokens.length; start += options.rowCount) {
    batch.clear()
    const end = Math.min(start + options.rowCount, tokens.length)
    for (let position = start; position < end; position++) batch.add(tokens[position]!, position, cache, true)
    logits.set(runBatch(home, blockCount, batch, options), start * vocabularySize)
  }
  return logits
}, Effect.scoped)
