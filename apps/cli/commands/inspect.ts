// powerinfer inspect: what is in this file, and will it run here?
import * as Effect from "effect/Effect"
import {
  type CacheType,
  checkCacheType,
  describeModel,
  estimateMemory,
  type Gguf,
  type Model,
  NotEnoughMemory,
  openTokenizer,
  readGguf,
  readMachine,
  sparsityFacts,
  speedupBound
} from "powerinfer"
import { inspectionText } from "../inspection_text.ts"
import { print, printJson } from "../output.ts"

export interface InspectInput {
  readonly model: string
  readonly tensors: boolean
  readonly ctx: number | undefined
  readonly kvType: CacheType | undefined
  readonly json: boolean
}

/** The share of neurons that fire in published ReLU models lies near this; only a run can tell this model's. */
const assumedActiveShare = 0.1
/** Of one batch, for the estimate; the engine's default. */
const rowCountMax = 64

/** Reads headers only. Fails on a file that is no GGUF; a model that cannot run is a finding, not a failure. */
export const inspect = Effect.fnUntraced(function* (input: InspectInput) {
  const gguf = yield* readGguf(input.model)
  const inspection = yield* inspectGguf(gguf, input)
  yield* input.json ? printJson(inspection) : print(inspectionText(inspection))
})

/** Everything `inspect` says, as it stands in its JSON. */
export type Inspection = Effect.Success<ReturnType<typeof inspectGguf>>

const inspectGguf = Effect.fnUntraced(function* (gguf: Gguf, input: InspectInput) {
  const described = yield* Effect.result(describeModel(gguf))
  const tokenizer = yield* Effect.result(openTokenizer(gguf.metadata))
  const machine = yield* Effect.result(readMachine)
  const obstacles: Array<string> = []
  for (const result of [described, tokenizer, machine]) {
    if (result._tag === "Failure") obstacles.push(result.failure.message)
  }
  const findings = described._tag === "Success" ? modelFindings(described.success, input) : undefined
  if (described._tag === "Success" && input.kvType) {
    const suited = yield* Effect.result(checkCacheType(described.success, input.kvType))
    if (suited._tag === "Failure") obstacles.push(suited.failure.message)
  }
  if (findings && machine._tag === "Success") {
    const { total_bytes: neededBytes } = findings.memory
    const availableBytes = machine.success.memoryAvailableBytes
    if (neededBytes > availableBytes) {
      const remedy = "lower --ctx, choose a smaller model or leave the weights in their file with --weights mapped"
      obstacles.push(new NotEnoughMemory({ purpose: "the model", neededBytes, availableBytes, remedy }).message)
    }
  }
  return {
    files: gguf.files.map(({ path, sizeBytes }) => ({ path, size_bytes: sizeBytes })),
    magic: gguf.magic,
    version: gguf.version,
    runs: obstacles.length === 0,
    obstacles,
    ...findings,
    ...(tokenizer._tag === "Success" && {
      tokenizer: {
        kind: tokenizer.success.kind,
        vocabulary_size: tokenizer.success.vocabularySize,
        chat_template: gguf.metadata.has("tokenizer.chat_template")
      }
    }),
    tensor_types: typeFindings(gguf),
    metadata: metadataFindings(gguf),
    ...(input.tensors && {
      tensors: [...gguf.tensors.values()].map(({ name, type, shape, sizeBytes }) => ({
        name,
        type,
        shape,
        size_bytes: sizeBytes
      }))
    })
  }
})

const modelFindings = (model: Model, input: InspectInput) => {
  const { shape } = model
  const contextLength = input.ctx ?? shape.contextLength
  const cacheType = input.kvType ?? "f16"
  const memory = estimateMemory(model, { contextLength, cacheType, rowCountMax })
  const facts = sparsityFacts(model)
  return {
    model: {
      name: model.name,
      family: shape.family,
      block_count: shape.blockCount,
      hidden_width: shape.hiddenWidth,
      ffn_width: shape.ffnWidth,
      head_count: shape.headCount,
      kv_head_count: shape.kvHeadCount,
      head_width: shape.headWidth,
      vocabulary_size: shape.vocabularySize,
      context_length: shape.contextLength,
      gated: shape.gated,
      activation: shape.gated ? shape.gateActivation : shape.upActivation
    },
    memory: {
      context_length: contextLength,
      kv_type: cacheType,
      weight_bytes: memory.weightBytes,
      repacked_down_bytes: memory.repackedDownBytes,
      cache_bytes: memory.cacheBytes,
      workspace_bytes: memory.workspaceBytes,
      total_bytes: memory.totalBytes
    },
    sparsity: {
      sparse: model.sparse,
      down_layout: model.blocks[0]?.down.layout ?? "by_output",
      dense_bytes_per_token: facts.tokenBytes,
      ffn_share: facts.ffnShare,
      gate_share: facts.gateShare,
      ...(model.sparse && {
        bound: {
          assumed_active_share: assumedActiveShare,
          exact_gate: speedupBound(facts.ffnShare - facts.gateShare, 1 - assumedActiveShare),
          perfect_predictor: speedupBound(facts.ffnShare, 1 - assumedActiveShare)
        }
      })
    }
  }
}

/** Bytes and tensors by type: what the file is mostly made of comes first. */
const typeFindings = (gguf: Gguf) => {
  const types = new Map<string, { tensor_count: number; size_bytes: number }>()
  for (const { type, sizeBytes } of gguf.tensors.values()) {
    const sum = types.get(type) ?? { tensor_count: 0, size_bytes: 0 }
    types.set(type, { tensor_count: sum.tensor_count + 1, size_bytes: sum.size_bytes + sizeBytes })
  }
  return Object.fromEntries([...types].sort(([, a], [, b]) => b.size_bytes - a.size_bytes))
}

/** Longer arrays (vocabularies, merges) are shown by their length. */
const shownElements = 16

const metadataFindings = (gguf: Gguf) =>
  Object.fromEntries(
    [...gguf.metadata.entries()].map(([key, { type, value }]) => {
      if (typeof value !== "object") return [key, plain(value)]
      if (value.length > shownElements || type === "array[]") return [key, { type, length: value.length }]
      return [key, Array.from(value as ArrayLike<number | bigint | string>, plain)]
    })
  )

/** JSON has no bigint; one that is no safe integer becomes text. */
const plain = (value: number | bigint | boolean | string) => (typeof value === "bigint" ? value.toString() : value)
