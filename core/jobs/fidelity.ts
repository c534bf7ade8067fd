// May one run stand in for another? A word for what was measured.

/**
 * What a run is to the dense run of the same file.
 *
 * | class | KL divergence, mean | same most likely token |
 * |---|---|---|
 * | exact | none but rounding, and the predictor says so | |
 * | transparent | ≤ 0.005 | |
 * | good | ≤ 0.03 | ≥ 92% |
 * | degraded | ≤ 0.1 | |
 * | reject | above | |
 *
 * On llama.cpp's scale Q8_0 is 0.0014, Q6_K 0.0055, Q4_K_M 0.031 from F16 (Llama 3 8B).
 */
export const fidelityClasses = ["exact", "transparent", "good", "degraded", "reject"] as const
export type FidelityClass = (typeof fidelityClasses)[number]

/** An F16 KV cache makes a step of 2^-11 of a sum in another order now and then; what that does to logits is far below this. */
const roundingDivergence = 1e-6

export const fidelityClass = (measured: {
  /** The predictor's own word. */
  readonly exact: boolean
  readonly divergence: number
  /** Share of positions with the same most likely token. */
  readonly topAgreement: number
}): FidelityClass => {
  const { exact, divergence, topAgreement } = measured
  if (exact && divergence <= roundingDivergence) return "exact"
  if (divergence <= 0.005) return "transparent"
  if (divergence <= 0.03 && topAgreement >= 0.92) return "good"
  return divergence <= 0.1 ? "degraded" : "reject"
}
