// How does a person see a model being written?
import { statSync } from "node:fs"
import * as Effect from "effect/Effect"
import { type Conversion, type ConversionError, type FileUnwritable, writeConversion } from "powerinfer"
import { note, type OutputClosed, type OutputFailed, print, printJson } from "./output.ts"
import { withProgress } from "./progress.ts"
import { formatBytes, formatShare } from "./quantities.ts"

/** Writes the planned file with its progress, then says what was written; `notes` come first, on standard error. */
export const writeModel = (
  out: string,
  conversion: Conversion,
  json: boolean
): Effect.Effect<void, ConversionError | FileUnwritable | OutputClosed | OutputFailed> =>
  Effect.gen(function* () {
    for (const line of conversion.notes) yield* note(line)
    const startMs = performance.now()
    yield* withProgress(`Writing ${out}`, (_announce, show) =>
      writeConversion(out, conversion, (written, total) =>
        show(`${formatShare(written / total)} of ${formatBytes(total)}`)
      )
    )
    const seconds = (performance.now() - startMs) / 1000
    const { size } = statSync(out)
    const tensorTypes: Record<string, number> = {}
    for (const { type } of conversion.gguf.tensors) tensorTypes[type] = (tensorTypes[type] ?? 0) + 1
    yield* json
      ? printJson({ path: out, size_bytes: size, tensor_count_by_type: tensorTypes, seconds, notes: conversion.notes })
      : print(`${out}  ${formatBytes(size)} in ${seconds.toFixed(1)} s, ${formatBytes(size / seconds)}/s\n`)
  })
