// What does a family's file say about the family?
import type { BlockReader } from "./block_reader.ts"
import type { Activation, BlockTensors } from "./model.ts"
import type { ModelFile } from "./model_file.ts"

/** A family of models: what sets it apart, and which tensor plays which part in a block. */
export interface Architecture {
  /** As `general.architecture` has it; also the prefix of the family's metadata keys. */
  readonly name: string
  readonly norm: "rms" | "layer"
  /** The epsilon of its norms where converters leave the key out; without one the key is required. */
  readonly normEpsilon?: number
  readonly positions: "interleaved" | "halves" | "learned"
  /** Attention and FFN both read the block's input. */
  readonly parallel: boolean
  readonly gated: boolean
  /** What the FFN applies unless `<architecture>.hidden_activation` or the magic PWRI say otherwise. */
  readonly activation: Activation
  /** A gated FFN applies the activation to `up` as well (bamboo). */
  readonly activatesUp?: true
  /** The key of the FFN's width, without the prefix. */
  readonly ffnWidthKey: "feed_forward_length" | "expert_feed_forward_length"
  /** Throws `UnsupportedFeature` for what only this family can ask of us. Marks tensors that need not be read. */
  readonly check?: (file: ModelFile) => void
  readonly block: (read: BlockReader) => BlockTensors
}
