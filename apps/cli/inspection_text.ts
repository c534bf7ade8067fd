// How does an inspection read on a terminal?
import type { Inspection } from "./commands/inspect.ts"
import { formatBytes, formatShare } from "./quantities.ts"

const valueWidth = 72

export const inspectionText = (inspection: Inspection): string => {
  const { files, magic, version, runs, obstacles, model, memory, sparsity, tokenizer } = inspection
  const lines: Array<string> = []
  const row = (name: string, value: string) => lines.push(`  ${name.padEnd(18)}${value}`)
  const section = (title: string) => lines.push("", title)

  for (const { path, size_bytes } of files)
    lines.push(`${path}  ${formatBytes(size_bytes)}, ${magic} version ${version}`)
  lines.push(runs ? "runs here: yes" : "runs here: no")
  for (const obstacle of obstacles) lines.push(`  ${obstacle}`)

  if (model) {
    section("model")
    row("name", `${model.name} (${model.family})`)
    row("blocks", String(model.block_count))
    row("widths", `hidden ${model.hidden_width}, ffn ${model.ffn_width}`)
    row("attention", `${model.head_count} heads of ${model.head_width}, ${model.kv_head_count} key-value heads`)
    row("ffn", `${model.gated ? "gated" : "ungated"}, ${model.activation}`)
    row("context", `${model.context_length} tokens`)
  }
  if (tokenizer) {
    const template = tokenizer.chat_template ? "with a chat template" : "without a chat template"
    row("tokenizer", `${tokenizer.kind}, ${tokenizer.vocabulary_size} tokens, ${template}`)
  }
  if (memory) {
    section(`memory, at ${memory.context_length} tokens of context, ${memory.kv_type} KV cache`)
    row("weights", formatBytes(memory.weight_bytes))
    row("down by neuron", formatBytes(memory.repacked_down_bytes))
    row("KV cache", formatBytes(memory.cache_bytes))
    row("workspace", formatBytes(memory.workspace_bytes))
    row("total", formatBytes(memory.total_bytes))
  }
  if (sparsity) {
    section("sparsity")
    row("a dense token", `reads ${formatBytes(sparsity.dense_bytes_per_token)} of weights`)
    row("of it the FFN", `${formatShare(sparsity.ffn_share)}, its gate ${formatShare(sparsity.gate_share)}`)
    row(
      "inactive neurons",
      sparsity.sparse ? "have an activation of exactly zero" : "do not exist: the activation is never zero"
    )
    if (sparsity.bound) {
      const { assumed_active_share, exact_gate, perfect_predictor } = sparsity.bound
      row(
        "at most",
        `${exact_gate.toFixed(2)}× dense with exact_gate, ${perfect_predictor.toFixed(2)}× with a perfect predictor,`
      )
      row("", `if ${formatShare(assumed_active_share)} of the neurons fire`)
    }
  }
  section("tensors")
  for (const [type, sum] of Object.entries(inspection.tensor_types)) {
    row(type, `${sum.tensor_count} tensors, ${formatBytes(sum.size_bytes)}`)
  }
  for (const { name, type, shape, size_bytes } of inspection.tensors ?? []) {
    lines.push(`  ${name.padEnd(32)} ${type.padEnd(5)} ${shape.join(" × ").padEnd(16)} ${formatBytes(size_bytes)}`)
  }
  section("metadata")
  for (const [key, value] of Object.entries(inspection.metadata)) {
    const text = JSON.stringify(value)
    lines.push(`  ${key} = ${text.length > valueWidth ? `${text.slice(0, valueWidth)}…` : text}`)
  }
  return `${lines.join("\n")}\n`
}
