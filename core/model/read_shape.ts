// Which shape do a file's hyperparameters describe?
import type { Architecture } from "./architecture.ts"
import type { Activation, ModelShape } from "./model.ts"
import type { ModelFile } from "./model_file.ts"

/** Row of position 0 in a table of learned positions: what OPT's padding index left behind. */
const learnedPositionOffset = 2
const defaultBaseFrequency = 10_000

/**
 * Reads the shape from the metadata and, where only they know, from the embeddings.
 *
 * Throws `MissingMetadata`, `InvalidMetadata`, `InvalidModel`, `UnsupportedFeature`.
 */
export const readShape = (file: ModelFile, architecture: Architecture): ModelShape => {
  refuseUnsupported(file)
  const hiddenWidth = file.positive("embedding_length")
  const headCount = file.positive("attention.head_count")
  const kvHeadCount = file.positive("attention.head_count_kv", headCount)
  if (headCount % kvHeadCount !== 0) {
    throw file.invalid("attention.head_count_kv", `a divisor of ${headCount}`, String(kvHeadCount))
  }
  const headWidth = readHeadWidth(file, hiddenWidth, headCount)
  const [, vocabularySize = 1] = file.tensorOfWidth("token_embd.weight", hiddenWidth).shape
  const activation = readActivation(file, architecture)
  const positions = readPositions(file, architecture, headWidth)
  const epsilonKey = architecture.norm === "rms" ? "layer_norm_rms_epsilon" : "layer_norm_epsilon"

  return {
    family: architecture.name,
    blockCount: file.positive("block_count"),
    hiddenWidth,
    ffnWidth: file.positive(architecture.ffnWidthKey),
    headCount,
    kvHeadCount,
    headWidth,
    vocabularySize,
    contextLength: readContextLength(file, hiddenWidth, positions),
    norm: { kind: architecture.norm, epsilon: file.number(`attention.${epsilonKey}`, architecture.normEpsilon) },
    positions,
    parallel: architecture.parallel,
    gated: architecture.gated,
    gateActivation: architecture.gated ? activation : "identity",
    upActivation: architecture.gated && !architecture.activatesUp ? "identity" : activation
  }
}

/** Numbers that some families of llama.cpp multiply by or clamp to; at these values they change nothing. */
const mustBeNeutral: ReadonlyArray<readonly [name: string, neutral: ReadonlyArray<number>]> = [
  ["attention.max_alibi_bias", [0]],
  ["attention.clamp_kqv", [0]],
  ["attention.scale", [0]],
  ["attn_logit_softcapping", [0]],
  ["final_logit_softcapping", [0]],
  ["logit_scale", [0, 1]],
  ["embedding_scale", [0, 1]],
  ["residual_scale", [0, 1]],
  // One expert is no mixture; whether its tensors have the names of an expert's is for the family to say.
  ["expert_count", [0, 1]],
  ["expert_shared_count", [0]],
  ["leading_dense_block_count", [0]]
]

const refuseUnsupported = (file: ModelFile): void => {
  for (const [name, neutral] of mustBeNeutral) {
    const value = file.number(name, neutral[0])
    if (!neutral.includes(value)) throw file.unsupported(`${file.key(name)} = ${value}`)
  }
  const window = file.number("attention.sliding_window", 0)
  // A window as long as the context never hides a position.
  if (window > 0 && window < file.positive("context_length")) {
    throw file.unsupported(`a sliding attention window of ${window} positions`)
  }
  if (!file.gguf.metadata.bool(file.key("attention.causal"), true)) throw file.unsupported("attention to later tokens")
}

const readHeadWidth = (file: ModelFile, hiddenWidth: number, headCount: number): number => {
  if (!file.has("attention.key_length") && hiddenWidth % headCount !== 0) {
    throw file.invalid("attention.head_count", `a divisor of ${hiddenWidth}`, String(headCount))
  }
  const headWidth = file.positive("attention.key_length", hiddenWidth / headCount)
  const valueWidth = file.positive("attention.value_length", headWidth)
  if (valueWidth !== headWidth)
    throw file.unsupported(`values of width ${valueWidth} beside keys of width ${headWidth}`)
  return headWidth
}

const activations: ReadonlyArray<Activation> = ["relu", "relu_squared", "silu", "gelu"]

/** PowerInfer's relufied files carry no key for it: their magic alone says ReLU. */
const readActivation = (file: ModelFile, architecture: Architecture): Activation => {
  const unmarked = file.gguf.magic === "PWRI" ? "relu" : architecture.activation
  const name = file.text("hidden_activation", unmarked)
  const activation = activations.find((known) => known === name)
  if (!activation) throw file.unsupported(`the hidden activation "${name}" (known: ${activations.join(", ")})`)
  return activation
}

const readPositions = (file: ModelFile, architecture: Architecture, headWidth: number): ModelShape["positions"] => {
  if (architecture.positions === "learned") return { kind: "learned", offset: learnedPositionOffset }
  const width = file.positive("rope.dimension_count", headWidth)
  if (width > headWidth || width % 2 !== 0) {
    throw file.invalid("rope.dimension_count", `even and at most ${headWidth}`, String(width))
  }
  const scaling = file.text("rope.scaling.type", "linear")
  if (scaling !== "linear" && scaling !== "none") throw file.unsupported(`rope scaling of the type "${scaling}"`)
  // `rope.scale_linear` is the older name. 0 means none, as in llama.cpp.
  const factor = scaling === "none" ? 1 : file.number("rope.scaling.factor", file.number("rope.scale_linear", 1)) || 1
  if (!(factor > 0 && Number.isFinite(factor))) throw file.invalid("rope.scaling.factor", "above 0", String(factor))
  const baseFrequency = file.number("rope.freq_base", defaultBaseFrequency)
  if (!(baseFrequency > 0 && Number.isFinite(baseFrequency))) {
    throw file.invalid("rope.freq_base", "above 0", String(baseFrequency))
  }
  return { kind: "rope", style: architecture.positions, width, baseFrequency, linearFactor: factor }
}

/** A table of learned positions ends where it ends, whatever the metadata says (converters count the offset in). */
const readContextLength = (file: ModelFile, hiddenWidth: number, positions: ModelShape["positions"]): number => {
  const stated = file.positive("context_length")
  if (positions.kind === "rope") return stated
  const table = file.tensorOfWidth("position_embd.weight", hiddenWidth)
  const rows = table.shape[1] ?? 1
  if (rows > positions.offset) return Math.min(stated, rows - positions.offset)
  throw file.unsupported(`a table of ${rows} learned positions, fewer than its offset of ${positions.offset}`)
}
