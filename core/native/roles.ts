// Which tensor of the file plays which part for the native library?
import type { TensorInfo } from "../gguf/tensor_index.ts"
import type { BlockTensors, Linear, Model } from "../model/model.ts"

/** POWERINFER_x of powerinfer.h: what a tensor is for. */
export const Role = {
  tokenEmbedding: 0,
  positionEmbedding: 1,
  outputNorm: 2,
  output: 4,
  attentionNorm: 16,
  q: 18,
  k: 20,
  v: 22,
  qNorm: 24,
  kNorm: 25,
  attentionOutput: 26,
  ffnNorm: 28,
  gate: 30,
  up: 31,
  upBias: 32,
  down: 33,
  downBias: 34,
  downByNeuron: 35,
  downRepacked: 36
} as const

/** A tensor with its part. `block` is 0 for tensors of the whole model. */
export interface RoleBinding {
  readonly role: number
  readonly block: number
  readonly tensor: TensorInfo
}

/** Every tensor of the model as the file has it; the repacked `down` is bound beside it where a run needs one. */
export const roleBindings = (model: Model): ReadonlyArray<RoleBinding> => [
  ...present(0, [
    [Role.tokenEmbedding, model.tokenEmbedding],
    [Role.positionEmbedding, model.positionEmbedding],
    ...linear(Role.outputNorm, model.outputNorm),
    ...linear(Role.output, model.output)
  ]),
  ...model.blocks.flatMap((tensors, block) => present(block, blockRoles(tensors)))
]

type Part = readonly [role: number, tensor: TensorInfo | undefined]

const blockRoles = (block: BlockTensors): ReadonlyArray<Part> => [
  ...linear(Role.attentionNorm, block.attentionNorm),
  ...linear(Role.q, block.q),
  ...linear(Role.k, block.k),
  ...linear(Role.v, block.v),
  [Role.qNorm, block.qNorm],
  [Role.kNorm, block.kNorm],
  ...linear(Role.attentionOutput, block.attentionOutput),
  ...linear(Role.ffnNorm, block.ffnNorm),
  [Role.gate, block.gate?.weight],
  [Role.up, block.up.weight],
  [Role.upBias, block.up.bias],
  [block.down.layout === "by_neuron" ? Role.downByNeuron : Role.down, block.down.weight],
  [Role.downBias, block.down.bias]
]

/** Outside the FFN a bias's number follows its weight's. */
const linear = (role: number, { weight, bias }: Linear): ReadonlyArray<Part> => [
  [role, weight],
  [role + 1, bias]
]

const present = (block: number, parts: ReadonlyArray<Part>): ReadonlyArray<RoleBinding> =>
  parts.flatMap(([role, tensor]) => (tensor === undefined ? [] : [{ role, block, tensor }]))
