// Goal: the library that is built for GPUs fails in words, not with a crash, on a machine that has none (cuda-compile-only).
// Method: the library itself, where a build with nvcc has left it, asked for its device and to open one; skipped where there is none, or where there is a GPU.
import { describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import backendCuda from "@powerinfer/backend-cuda"
import { openModel } from "@powerinfer/core"
import { Effect } from "effect"
import { models } from "../../../support/plans.ts"

const library = resolve("build/native/release/libpowerinfer_cuda.so")
const isToBeTested = existsSync(library) && !existsSync("/dev/nvidiactl")

describe.skipIf(!isToBeTested)("libpowerinfer_cuda without a driver", () => {
  const withLibrary = <A, E>(work: Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const before = process.env["POWERINFER_CUDA_LIBRARY"]
        process.env["POWERINFER_CUDA_LIBRARY"] = library
        return before
      }),
      () => work,
      (before) =>
        Effect.sync(() => {
          if (before === undefined) delete process.env["POWERINFER_CUDA_LIBRARY"]
          else process.env["POWERINFER_CUDA_LIBRARY"] = before
        })
    )
  const options = { device: 0, simulated: false }
  const wanted = { _tag: "BackendFailure", backend: "cuda" }

  test("says what it needs when it is asked for its device", async () => {
    const failure = await Effect.runPromise(Effect.flip(withLibrary(backendCuda.facts(options))))
    expect(failure).toMatchObject(wanted)
    expect(failure.message).toContain("cannot find a CUDA device: CUDA driver version is insufficient")
    expect(failure.message).toContain("install an NVIDIA driver")
  })

  test("says so when a model is opened on it", async () => {
    const opening = Effect.gen(function* () {
      const model = yield* openModel(models.f16)
      const shares = model.blocks.map(() => "all" as const)
      const device = { model, shares, home: true, rowCountMax: 8, sparse: true, candidates: "every" } as const
      return yield* backendCuda.open(options, { ...device, announce: () => {} })
    })
    const failure = await Effect.runPromise(Effect.flip(withLibrary(Effect.scoped(opening))))
    expect(failure).toMatchObject(wanted)
    expect(String(failure)).toContain("install an NVIDIA driver")
  })
})
