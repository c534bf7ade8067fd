// What does openModel say about a file with this header?
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type GgufToWrite, openModel, rowBytes, writeGguf } from "@powerinfer/core"
import { Effect } from "effect"

/** Writes the file with zeros for weights, which nobody who describes a model reads, opens it and removes it again. */
export const described = (gguf: GgufToWrite) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "powerinfer-described-"))),
    (directory) => {
      const path = join(directory, "model.gguf")
      const tensors = gguf.tensors.map((tensor) => {
        const rows = tensor.shape.slice(1).reduce((product, length) => product * length, 1)
        return { ...tensor, chunks: () => [new Uint8Array(rows * rowBytes(tensor.type, tensor.shape[0]!))] }
      })
      return Effect.andThen(Effect.orDie(writeGguf(path, { ...gguf, tensors })), openModel(path))
    },
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
