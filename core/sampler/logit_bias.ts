// The rule "logit bias": which tokens did the user make more or less likely by hand?
import type { Candidates } from "./candidates.ts"

/** Adds biases[k] to the logit of tokens[k]. Runs while entry i is still token i. */
export const addLogitBias = (candidates: Candidates, tokens: Uint32Array, biases: Float64Array): void => {
  for (let k = 0; k < tokens.length; k++) {
    const token = tokens[k]!
    candidates.logit[token] = candidates.logit[token]! + biases[k]!
  }
}
