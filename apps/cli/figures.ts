// How are the figures of a generation shown: as a line for people, as keys for programs?
import type { FinishReason, GenerationFigures } from "powerinfer"
import { profileJson } from "./profile_report.ts"
import { formatBytes, formatRate, formatShare } from "./quantities.ts"

/** "prefill 12 tokens, 512/s · decode 64 tokens, 123/s · 2.10 MB a token, 43.0% of dense · 9.9% of neurons · exact · seed 1". */
export const figuresLine = (figures: GenerationFigures): string => {
  const cached = figures.promptTokensCached > 0 ? ` (${figures.promptTokensCached} cached)` : ""
  const parts = [
    `prefill ${countTokens(figures.promptTokens)}${cached}, ${formatRate(figures.prefillTokensPerSecond)}/s`
  ]
  // The first token comes with the prefill: where it is the only one, nothing has been decoded.
  if (figures.decodeTokensPerSecond === 0) parts.push(countTokens(figures.generatedTokens))
  else {
    parts.push(`decode ${countTokens(figures.generatedTokens)}, ${formatRate(figures.decodeTokensPerSecond)}/s`)
    const ofDense = formatShare(figures.weightBytesPerToken / figures.denseBytesPerToken)
    parts.push(`${formatBytes(figures.weightBytesPerToken)} of weights a token, ${ofDense} of dense`)
    parts.push(`${formatShare(figures.activeShare)} of neurons active`)
  }
  return [...parts, figures.fidelity, `seed ${figures.seed}`].join(" · ")
}

const countTokens = (count: number): string => (count === 1 ? "1 token" : `${count} tokens`)

/** The keys that every command with `--json` uses for them. */
export const figuresJson = (reason: FinishReason, figures: GenerationFigures) => ({
  finish_reason: reason,
  prompt_tokens: figures.promptTokens,
  prompt_tokens_cached: figures.promptTokensCached,
  generated_tokens: figures.generatedTokens,
  prefill_s: figures.prefillSeconds,
  decode_s: figures.decodeSeconds,
  prefill_tokens_per_s: figures.prefillTokensPerSecond,
  decode_tokens_per_s: figures.decodeTokensPerSecond,
  bytes_read_per_token: figures.weightBytesPerToken + figures.cacheBytesPerToken,
  weight_bytes_read_per_token: figures.weightBytesPerToken,
  cache_bytes_read_per_token: figures.cacheBytesPerToken,
  dense_bytes_per_token: figures.denseBytesPerToken,
  active_share: figures.activeShare,
  fidelity: figures.fidelity,
  seed: figures.seed,
  ...(figures.profile && { profile: profileJson(figures.profile) })
})
