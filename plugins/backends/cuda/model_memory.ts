// What does a model take of the device's memory, beside KV caches and the weights of predictors? To plan with: what is allocated is counted as it happens.
import { type BlockTensors, type Linear, type ModelMemory, neuronBytes, type Workload } from "@powerinfer/core"
import { downBytes, matrixBytes, rowBytes, vectorBytes } from "./matrix_bytes.ts"
import { workspaceBytes } from "./workspace_bytes.ts"

/** Most that a block's planes and lists lose to alignment: each begins at a multiple of 256. */
const blockSlackBytes = 256 * 12

const linearBytes = (...linears: ReadonlyArray<Linear>): number =>
  linears.reduce((sum, { weight, bias }) => sum + matrixBytes(weight) + vectorBytes(bias), 0)

const normBytes = (...norms: ReadonlyArray<Linear>): number =>
  norms.reduce((sum, { weight, bias }) => sum + vectorBytes(weight) + vectorBytes(bias), 0)

/** What only a home needs of a block. */
const attentionBytes = (block: BlockTensors): number =>
  normBytes(block.attentionNorm, block.ffnNorm) +
  linearBytes(block.q, block.k, block.v, block.attentionOutput) +
  vectorBytes(block.qNorm) +
  vectorBytes(block.kNorm) +
  vectorBytes(block.down.bias)

/** Of one neuron, with its number in a share, and of a block of which the device holds any. */
const ffnBytes = ({ gate, up, down }: BlockTensors) => {
  const { neuron, block } = downBytes(down.weight, down.layout)
  const rows = (gate === undefined ? 0 : rowBytes(gate.weight)) + rowBytes(up.weight)
  return { neuron: rows + neuron + (up.bias === undefined ? 0 : 4) + 4, block: block + blockSlackBytes }
}

/** Plans that give the device some neurons of every block are met; of others, which hold fewer of `down`'s scales, it is more than they need. */
export const modelMemory = (workload: Workload): ModelMemory => {
  const { model } = workload
  const ffns = model.blocks.map(ffnBytes)
  const blocks = ffns.reduce((sum, { block }) => sum + block, 0)
  const embeddings = [model.tokenEmbedding, ...(model.positionEmbedding ? [model.positionEmbedding] : [])]
  const tied = model.output.weight.name === model.tokenEmbedding.name
  const home =
    embeddings.reduce((sum, tensor) => sum + matrixBytes(tensor), 0) +
    (tied ? vectorBytes(model.output.bias) : linearBytes(model.output)) +
    normBytes(model.outputNorm) +
    model.blocks.reduce((sum, block) => sum + attentionBytes(block), 0)
  const workspace = workspaceBytes(workload)
  const inFile = neuronBytes(model)
  return {
    homeBytes: home + blocks + workspace.home,
    shareBytes: blocks + workspace.share,
    neuronScale: Math.max(...ffns.map(({ neuron }, block) => neuron / inFile[block]!.held))
  }
}
