// What a model is to the engine: a shape, and tensors by the part they play.
import type { Gguf } from "../gguf/reader.ts"
import type { TensorInfo } from "../gguf/tensor_index.ts"

/** What an FFN applies to a product. `identity` is the ungated half of a gated FFN that has no second activation. */
export type Activation = "identity" | "relu" | "relu_squared" | "silu" | "gelu"

/** Everything a backend, predictor or placement must know of a model besides its weights. */
export interface ModelShape {
  readonly family: string
  readonly blockCount: number
  readonly hiddenWidth: number
  readonly ffnWidth: number
  readonly headCount: number
  /** Divides `headCount`; smaller when several query heads share one key and value head. */
  readonly kvHeadCount: number
  readonly headWidth: number
  readonly vocabularySize: number
  /** Positions the model was made for: the default length of a session. */
  readonly contextLength: number
  readonly norm: { readonly kind: "rms" | "layer"; readonly epsilon: number }
  readonly positions:
    | {
        readonly kind: "rope"
        /** `interleaved` turns dimensions (2i, 2i+1) together, `halves` turns (i, i + width/2). */
        readonly style: "interleaved" | "halves"
        readonly width: number
        readonly baseFrequency: number
        /** Positions are divided by this (linear scaling); 1 without scaling. */
        readonly linearFactor: number
      }
    /** Row of position 0 in the table of learned positions. */
    | { readonly kind: "learned"; readonly offset: number }
  /** Attention and FFN both read the block's input (falcon). */
  readonly parallel: boolean
  /**
   * Gated: down · (gateActivation(gate · x) ⊙ upActivation(up · x)); else down · upActivation(up · x), and `gateActivation` is identity.
   */
  readonly gated: boolean
  readonly gateActivation: Activation
  readonly upActivation: Activation
}

/** A weight with the bias that is added after it. */
export interface Linear {
  readonly weight: TensorInfo
  readonly bias?: TensorInfo
}

/** Tensors of one block. Matrices are [width, rows] as in GGUF: row i is one dot product. A fused qkv arrives as three row ranges of it. */
export interface BlockTensors {
  readonly attentionNorm: Linear
  readonly q: Linear
  readonly k: Linear
  readonly v: Linear
  /** RMS norms of every head of q and k, before rope (qwen3). */
  readonly qNorm?: TensorInfo
  readonly kNorm?: TensorInfo
  readonly attentionOutput: Linear
  /** Of a parallel block: the norm of the block's input that the FFN reads, which may be the same tensor as `attentionNorm`. */
  readonly ffnNorm: Linear
  readonly gate?: Linear
  readonly up: Linear
  readonly down: {
    /** `by_output`: [ffn_width, hidden_width], as most files have it. `by_neuron`: [hidden_width, ffn_width], row = neuron (`ffn_down_t`). */
    readonly layout: "by_output" | "by_neuron"
    readonly weight: TensorInfo
    readonly bias?: TensorInfo
  }
}

/**
 * A predictor that lies in the model's file (PowerInfer's `fc1` and `fc2`): score = up · relu(down · x), without biases.
 *
 * x is PowerInfer's: the residual *before* its norm, after attention; in a parallel block (falcon) the block's input.
 */
export interface StoredPredictor {
  /** Rows of `down`; may differ from block to block. */
  readonly rank: number
  /** [hidden_width, rank] */
  readonly down: TensorInfo
  /** [rank, ffn_width]: row = neuron. */
  readonly up: TensorInfo
}

/** A described model: what `openModel` returns and every plugin is opened with. */
export interface Model {
  readonly gguf: Gguf
  readonly name: string
  readonly shape: ModelShape
  readonly tokenEmbedding: TensorInfo
  readonly positionEmbedding?: TensorInfo
  readonly outputNorm: Linear
  /** The token embedding again where the file ties them. */
  readonly output: Linear
  /** Divides every rope frequency (llama 3's long-context scaling): f32[rope_width / 2]. */
  readonly ropeFactors?: TensorInfo
  readonly blocks: ReadonlyArray<BlockTensors>
  /** One entry a block, undefined where the block has none; left out where no block has. Not part of the computation. */
  readonly predictors?: ReadonlyArray<StoredPredictor | undefined>
  /** The score from which the stored predictors' maker computes a neuron (`powerinfer.sparse_threshold`); 0 where the file has none. */
  readonly sparseThreshold: number
  /** A zero activation makes a neuron's `down` row worthless: true for relu and relu². */
  readonly sparse: boolean
}

/** What decides which neurons fire: of a gated FFN the gate's activation, else the only one. */
export const modelActivation = ({ gated, gateActivation, upActivation }: ModelShape): Activation =>
  gated ? gateActivation : upActivation
